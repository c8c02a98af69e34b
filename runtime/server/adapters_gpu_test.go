package server_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/emu"
)

// completeIDs is complete of a prompt of ids.
func (ts *adapted) completeIDs(model string) string {
	ts.t.Helper()
	got := ts.do("POST", "/v1/completions", fmt.Sprintf(`{"model":%q,"prompt":[1,5,9],"max_tokens":3,"temperature":0,"return_token_ids":true,"ignore_eos":true}`, model))
	if got.status == 404 {
		return ""
	}
	return idsOf(ts.t, got)
}

// On a GPU adapters come and go while others are being answered: everybody gets the tokens that are got alone, or is told that the model is not there.
func TestAdaptersComeAndGoOnAGPU(t *testing.T) {
	plan := plantest.Build(t, plantest.Demo, compiler.Options{Quant: "bf16", Archs: []string{"sm80"}, LoraRank: 4})
	ts := startAdaptedOn(t, emu.Device{}, plan, engine.Settings{MaxAdapters: 2, MaxContext: 64, MaxSequences: 4, MaxStepTokens: 16})
	dirs := map[string]string{}
	for i, name := range []string{"one", "two"} {
		dirs[name] = plantest.AdapterDir(t, uint64(i+1), plantest.DemoModules(4, plantest.AllLinear...), nil)
	}
	alone := map[string]string{"demo": ts.completeIDs("demo")}
	for name, dir := range dirs {
		if got := ts.load(name, dir); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		alone[name] = ts.completeIDs(name)
	}
	if alone["one"] == alone["two"] || alone["one"] == alone["demo"] || alone["two"] == alone["demo"] {
		t.Fatalf("adapters change nothing: %v", alone)
	}
	var clients sync.WaitGroup
	for _, name := range []string{"demo", "one", "two"} {
		clients.Go(func() {
			if got := ts.completeIDs(name); got != alone[name] && (got != "" || name != "two") {
				t.Errorf("%s goes on with %s, alone with %s", name, got, alone[name])
			}
		})
	}
	if got := ts.unload("two"); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	deadline, got := time.Now().Add(5*time.Minute), ts.load("two", dirs["two"])
	for ; got.status != 200 && time.Now().Before(deadline); got = ts.load("two", dirs["two"]) { // until the last request that has it has ended
		time.Sleep(10 * time.Millisecond)
	}
	if got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	clients.Wait()
	if got := ts.completeIDs("two"); got != alone["two"] {
		t.Errorf("two goes on with %s, before with %s", got, alone["two"])
	}
}
