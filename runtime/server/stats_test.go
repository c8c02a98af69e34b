package server

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/metrics"
)

// timed is a scripted device that can time its two launches and sampling; it counts the steps in which it was asked to.
type timed struct {
	scripted
	profiled int
}

func (m *timed) Launches() []engine.LaunchTime {
	return []engine.LaunchTime{{Kernel: "cpu.linear"}, {Kernel: "cpu.linear"}, {Kernel: "<i>sample</i>"}}
}

func (m *timed) Profile(st *engine.Step, out []engine.Sampled, times []engine.LaunchTime) error {
	m.profiled++
	for i := range times {
		times[i].Seconds += .25
	}
	return m.Step(st, out)
}

// timedServer serves a model whose device can time its launches.
func timedServer(t *testing.T, config Config) (*testServer, *timed) {
	t.Helper()
	device := &timed{}
	m, _ := engineModel(t, "tiny", device, metrics.New(), runtime.Options{})
	config.Models = []Model{m}
	return startServer(t, nil, config), device
}

func (ts *testServer) stats(headers ...string) statsAnswer {
	ts.t.Helper()
	var got statsAnswer
	a := ts.do("GET", "/stats/data", "", headers...)
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 {
		ts.t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return got
}

// Figures are those of the requests; launches are timed once somebody has looked, and not before.
func TestStats(t *testing.T) {
	ts, device := timedServer(t, Config{})
	ts.post("/v1/completions", `{"prompt":"a long prompt","max_tokens":5}`, 200)
	if device.profiled != 0 {
		t.Errorf("%d steps are timed though nobody looks", device.profiled)
	}
	if m := ts.stats().Models[0]; len(m.Kernels) != 0 || m.Totals["output_tokens"] != 5 || m.Totals["steps"] != 5 {
		t.Errorf("%+v", m)
	}
	ts.post("/v1/completions", `{"prompt":"a long prompt","max_tokens":5}`, 200)
	m := ts.stats().Models[0]
	if device.profiled != 5 || len(m.Kernels) != 2 || m.Kernels[0] != (kernelStats{"cpu.linear", 10, 2.5}) || m.Kernels[1].Launches != 5 {
		t.Errorf("%d steps are timed: %+v", device.profiled, m.Kernels)
	}
	if m.Name != "tiny" || m.Running != 0 || m.KV == nil || *m.KV != (kvStats{0, m.KV.Cached, 200, 4}) || m.KV.Cached == 0 || m.Totals["prompt_tokens"] != 28 ||
		m.Totals["cached_tokens"] != 12 || m.Totals["length"] != 2 || m.Latencies["first_token"].Count != 2 || m.Health != "ok" || m.Joules != nil {
		t.Errorf("%+v", m)
	}
}

func TestStatsNeedAKey(t *testing.T) {
	keys, _, _ := loadTestKeys(t, "sk-stats\n")
	ts, _ := timedServer(t, Config{Keys: keys})
	if a := ts.do("GET", "/stats/data", ""); a.status != 401 || strings.Contains(a.body, "tiny") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := ts.do("GET", "/stats", ""); a.status != 200 || strings.Contains(a.body, "tiny") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if got := ts.stats("Authorization: Bearer sk-stats"); got.Models[0].Name != "tiny" {
		t.Errorf("%+v", got)
	}
}

// testPageStats sees the page ask for the key, then what the server does.
func testPageStats(t *testing.T, ctx context.Context) {
	keys, _, _ := loadTestKeys(t, "sk-stats\n")
	ts, _ := timedServer(t, Config{Keys: keys})
	page := openTab(t, ctx, ts)
	page.do(chromedp.Navigate("http://" + ts.addr + "/stats"))
	page.await(`!document.getElementById("ask").hidden`)
	page.do(chromedp.SendKeys(chromedp.CSS("#key"), "sk-stats\r"))
	page.await(`document.querySelector("h2")?.textContent === "tiny" && document.getElementById("notice").hidden`)
	ts.do("POST", "/v1/completions", `{"prompt":"a long prompt","max_tokens":20}`, "Authorization: Bearer sk-stats")
	const cards = `Object.fromEntries([...document.querySelectorAll(".cards > div")].map((c) => [c.children[0].textContent, c.children[1].textContent]))`
	page.await(cards + `["answered"] === "1"`)
	page.await(`document.querySelectorAll(".kernels tbody tr").length === 2`)
	for expression, want := range map[string]string{
		cards + `["running"]`: "0", cards + `["KV pages held"]`: "0 of 200", cards + `["health"]`: "ok",
		`[...document.querySelectorAll(".kernels tbody tr")].map((r) => r.children[0].textContent + " " + r.children[1].textContent)`: "cpu.linear 66.7 %,<i>sample</i> 33.3 %",
		`document.querySelectorAll(".kernels i").length`:                                                      "0",
		`document.querySelectorAll(".charts polyline").length`:                                                "3",
		`document.querySelector(".latency tbody tr td").textContent`:                                          "first token",
		`[...document.querySelectorAll(".latency tbody tr")].every((r) => r.children[1].textContent !== "–")`: "true",
	} {
		if got := page.text(expression); got != want {
			t.Errorf("%s is %q, want %q", expression, got, want)
		}
	}
	page.shoot("stats")
	page.do(chromedp.EmulateViewport(360, 760))
	if wide := page.text(`document.documentElement.scrollWidth`); wide != "360" {
		t.Errorf("%s pixels wide, the window 360", wide)
	}
	for _, e := range page.errors {
		if !strings.Contains(e, "401") { // which the browser tells of the first look
			t.Errorf("error on the page: %s", e)
		}
	}
}
