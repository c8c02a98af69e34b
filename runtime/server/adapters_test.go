package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"llmc/compiler"
	"llmc/compiler/lora"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/device/cpu"
	"llmc/runtime/metrics"
	"llmc/runtime/server"
)

// adapted is a server of the bundled model, and its client.
type adapted struct {
	t       *testing.T
	address string
}

// answer is a response that has been read.
type answer struct {
	status int
	body   string
}

// startAdapted serves the bundled model as "demo", with room for so many adapters.
func startAdapted(t *testing.T, most int) *adapted {
	t.Helper()
	return startAdaptedOn(t, cpu.Device{}, plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int8"}), engine.Settings{MaxAdapters: most, AdapterRank: 16, MaxContext: 128})
}

func startAdaptedOn(t *testing.T, device engine.Device, plan *engine.Plan, settings engine.Settings) *adapted {
	t.Helper()
	most := settings.MaxAdapters
	model, err := device.Load(plan, settings)
	must(t, err)
	loaded := &runtime.Loaded{Plan: plan, Info: plan.Info(), Model: model}
	registry := metrics.New()
	m, e, err := server.NewModel("demo", loaded, registry, runtime.Options{})
	must(t, err)
	open := func(ctx context.Context, path string) (*engine.Plan, error) {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
		out := filepath.Join(t.TempDir(), "adapter.plan")
		if _, err := lora.Build(ctx, lora.Options{Dir: path, Base: plan, Out: out}); err != nil {
			return nil, err
		}
		return engine.Open(out)
	}
	if most > 0 {
		m.Adapters = &server.Adapters{Host: e, Most: most, Open: open}
	}
	s, err := server.New(server.Config{Models: []server.Model{m}, Metrics: registry})
	must(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		must(t, errors.Join(s.Shutdown(context.Background()), <-served, e.Close(), model.Close()))
	})
	return &adapted{t, "http://" + ln.Addr().String()}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// do sends a request, of JSON where there is a body.
func (ts *adapted) do(method, path, body string) answer {
	ts.t.Helper()
	req, err := http.NewRequest(method, ts.address+path, strings.NewReader(body))
	must(ts.t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		ts.t.Error(err)
		return answer{}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		ts.t.Error(err)
	}
	return answer{resp.StatusCode, string(text)}
}

// complete returns the ids that a model goes on with, "" where it is not there.
func (ts *adapted) complete(model string, prompt string) string {
	ts.t.Helper()
	got := ts.do("POST", "/v1/completions", fmt.Sprintf(`{"model":%q,"prompt":%q,"max_tokens":12,"temperature":0,"return_token_ids":true,"ignore_eos":true}`, model, prompt))
	if got.status == 404 {
		return ""
	}
	return idsOf(ts.t, got)
}

// idsOf returns the ids of a completion.
func idsOf(t *testing.T, got answer) string {
	t.Helper()
	var body struct {
		Choices []struct {
			IDs []int32 `json:"token_ids"`
		}
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != 200 || len(body.Choices) != 1 {
		t.Errorf("%d %s", got.status, got.body)
		return "?"
	}
	return fmt.Sprint(body.Choices[0].IDs)
}

func (ts *adapted) load(name, path string) answer {
	return ts.do("POST", "/v1/load_lora_adapter", fmt.Sprintf(`{"lora_name":%q,"lora_path":%q}`, name, path))
}

func (ts *adapted) unload(name string) answer {
	return ts.do("POST", "/v1/unload_lora_adapter", fmt.Sprintf(`{"lora_name":%q}`, name))
}

// Adapters come and go while others are being answered, who notice nothing: everybody gets the tokens that are got alone, or is told that the model is
// not there.
func TestAdaptersComeAndGoUnderLoad(t *testing.T) {
	ts := startAdapted(t, 2)
	dirs := map[string]string{}
	for i, name := range []string{"one", "two"} {
		dirs[name] = plantest.AdapterDir(t, uint64(i+1), plantest.DemoModules(8, plantest.AllLinear...), nil)
	}
	const prompt = "What is the capital of France? What is the capital of Spain?"
	alone := map[string]string{"demo": ts.complete("demo", prompt)}
	for name, dir := range dirs {
		if got := ts.load(name, dir); got.status != 200 || !strings.HasPrefix(got.body, "Success: LoRA adapter '"+name+"'") {
			t.Fatalf("%d %s", got.status, got.body)
		}
		alone[name] = ts.complete(name, prompt)
	}
	if text := ts.do("GET", "/metrics", "").body; !strings.Contains(text, `vllm:lora_requests_info{engine="0",max_lora="2",model_name="demo",running_lora_adapters="",waiting_lora_adapters=""}`) {
		t.Error("metrics do not tell of the adapters")
	}
	if alone["one"] == alone["two"] || alone["one"] == alone["demo"] || alone["two"] == alone["demo"] {
		t.Fatalf("adapters change nothing: %v", alone)
	}
	var clients sync.WaitGroup
	for _, name := range []string{"demo", "one", "two", "one"} {
		clients.Go(func() {
			for range 8 {
				if got := ts.complete(name, prompt); got != alone[name] && (got != "" || name != "two") {
					t.Errorf("%s goes on with %s, alone with %s", name, got, alone[name])
				}
			}
		})
	}
	for range 6 { // in whose place it comes back, or in another while requests still have the first
		if got := ts.unload("two"); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
		got := ts.load("two", dirs["two"])
		for ; strings.Contains(got.body, "as many adapters are loaded"); got = ts.load("two", dirs["two"]) {
			time.Sleep(time.Millisecond)
		}
		if got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	clients.Wait()
}

func TestAdaptersAreListed(t *testing.T) {
	ts := startAdapted(t, 2)
	dir := plantest.AdapterDir(t, 1, plantest.DemoModules(4, "self_attn.q_proj"), nil)
	if got := ts.load("tuned", dir); got.status != 200 {
		t.Fatal(got.body)
	}
	list := ts.do("GET", "/v1/models", "").body
	var models struct {
		Data []struct {
			ID, Root string
			Parent   *string
		}
	}
	must(t, json.Unmarshal([]byte(list), &models))
	if len(models.Data) != 2 || models.Data[0].Parent != nil || models.Data[1].ID != "tuned" || models.Data[1].Root != dir || models.Data[1].Parent == nil || *models.Data[1].Parent != "demo" {
		t.Errorf("%s", list)
	}
	if got := ts.do("GET", "/v1/models/tuned", ""); !strings.Contains(got.body, `"parent":"demo"`) {
		t.Errorf("%s", got.body)
	}
	if got := ts.unload("tuned"); got.status != 200 {
		t.Error(got.body)
	}
	if got := ts.do("GET", "/v1/models/tuned", ""); got.status != 404 {
		t.Errorf("still there: %s", got.body)
	}
}

func TestAdaptersThatAreRefused(t *testing.T) {
	ts := startAdapted(t, 2)
	small := plantest.DemoModules(4, "self_attn.q_proj")
	good := plantest.AdapterDir(t, 1, small, nil)
	for _, c := range []struct {
		answer answer
		status int
		want   string
	}{
		{ts.load("demo", good), 400, "is taken"},
		{ts.load("", good), 400, "missing required parameter: lora_name"},
		{ts.load("a\nb", good), 400, "text of one line"},
		{ts.load(strings.Repeat("a", 300), good), 400, "at most 256 bytes"},
		{ts.load("x", filepath.Join(good, "nothing")), 404, "no adapter at"},
		{ts.load("x", good+"/../../../../../../nothing"), 404, "no adapter at"},
		{ts.do("POST", "/v1/load_lora_adapter", `{"lora_name":"x","lora_path":"/tmp\u0000/etc"}`), 400, "invalid argument"},
		{ts.load("x", "/dev/zero"), 400, "not a directory"},
		{ts.load("x", t.TempDir()), 400, "adapter_config.json: is missing"},
		{ts.load("x", plantest.AdapterDir(t, 1, small, map[string]any{"use_dora": true})), 400, "use_dora: asks for DoRA"},
		{ts.load("x", plantest.AdapterDir(t, 1, small, map[string]any{"modules_to_save": []string{"lm_head"}})), 400, "modules_to_save: asks for whole layers"},
		{ts.load("x", plantest.AdapterDir(t, 1, small, map[string]any{"r": 8})), 400, "the rank is 8"},
		{ts.load("x", plantest.AdapterDir(t, 1, plantest.DemoModules(17, "self_attn.q_proj"), nil)), 400, "its rank 17 is greater than --max-lora-rank 16"},
		{ts.load("x", plantest.AdapterDir(t, 1, []plantest.Module{{Name: "model.layers.7.self_attn.q_proj", In: 256, Out: 256, Rank: 2}}, nil)), 400, "is it of another model?"},
		{ts.do("POST", "/v1/load_lora_adapter", `{"lora_name":"x","lora_path":7}`), 400, "lora_path: must be a string"},
		{ts.do("POST", "/v1/load_lora_adapter", `{"lora_name":"x","lora_path":"y","load_in_place":true}`), 400, "unknown parameter \\\"load_in_place\\\""},
		{ts.do("POST", "/v1/load_lora_adapter", `[]`), 400, "must be a JSON object"},
		{ts.do("POST", "/v1/load_lora_adapter", `{"lora_name":"x","lora_path":"y","base_model_name":"other"}`), 400, "takes no adapters here"},
		{ts.unload("demo"), 404, "no adapter is called"},
		{ts.unload("x"), 404, "no adapter is called"},
		{ts.load("1", good), 200, ""}, {ts.load("2", good), 200, ""},
		{ts.load("3", good), 400, "as many adapters are loaded as may be"},
	} {
		if c.answer.status != c.status || !strings.Contains(c.answer.body, c.want) {
			t.Errorf("%d %s, want %d with %q", c.answer.status, c.answer.body, c.status, c.want)
		}
	}
	plain := startAdapted(t, 0)
	if got := plain.load("x", good); got.status != 400 || !strings.Contains(got.body, "this server takes no adapters") {
		t.Errorf("%d %s", got.status, got.body)
	}
}
