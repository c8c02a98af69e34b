package server

import (
	"encoding/json"
	"log/slog"
	"math"
	"testing"
	"time"

	"llmc/runtime"
	"llmc/runtime/energy"
	"llmc/runtime/energy/energytest"
	"llmc/runtime/metrics"
	"llmc/runtime/requestlog"
)

// Where energy can be read, the usage of answers has it, and so have the log, the metrics and the page.
func TestUsageHasEnergy(t *testing.T) {
	tree := energytest.New(t)
	ledger, err := energy.Open(tree.Root)
	must(t, err)
	t.Cleanup(ledger.Close)
	registry, file := metrics.New(), &kept{}
	device := &scripted{before: func(step int64) error {
		time.Sleep(time.Millisecond)
		tree.Set("intel-rapl:0", int(step)*500_000)
		return nil
	}}
	m, _ := engineModel(t, "tiny", device, registry, runtime.Options{Energy: ledger})
	requests := requestlog.New(file, slog.New(slog.DiscardHandler))
	ts := startServer(t, nil, Config{Models: []Model{m}, Metrics: registry, Requests: requests})
	t.Cleanup(func() { must(t, requests.Close()) })
	near := func(what string, got any, want float64) {
		t.Helper()
		if x, ok := got.(float64); !ok || math.Abs(x-want) > 1e-5 {
			t.Errorf("%s is %v, want %g", what, got, want)
		}
	}
	near("of a completion", at(t, ts.post("/v1/completions", `{"prompt":"x","max_tokens":4}`, 200), "usage", "energy_joules"), 2)
	before := device.steps.Load() // the second choice may come a step after the first
	two := at(t, ts.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"max_tokens":3,"n":2}`, 200), "usage", "energy_joules")
	near("of two choices", two, float64(device.steps.Load()-before)/2)
	near("of a response", at(t, ts.post("/v1/responses", `{"input":"x","max_output_tokens":2}`, 200), "usage", "energy_joules"), 1)
	stream := events(t, ts.do("POST", "/v1/completions", `{"prompt":"x","max_tokens":2,"stream":true,"stream_options":{"include_usage":true}}`).body)
	var last map[string]any
	must(t, json.Unmarshal([]byte(stream[len(stream)-2]), &last))
	near("of a stream", at(t, last, "usage", "energy_joules"), 1)
	near("of the log", awaitLine(t, file, 0)["energy_joules"], 2)
	got, _ := total(ts.scrape(), "llmrun_energy_joules_total")
	all := float64(device.steps.Load()) / 2
	near("of the metrics", got, all)
	near("of the page", *ts.stats().Models[0].Joules, all)
}
