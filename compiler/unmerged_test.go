package compiler_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/lora"
	"llmc/engine"
	"llmc/runtime/device/cpu"
)

// unmerged builds a model and adapters beside it, and loads them in places 1, 2 and so on, on the CPU.
func unmerged(t *testing.T, options compiler.Options, dirs ...string) (engine.AdapterModel, engine.ModelInfo) {
	t.Helper()
	return unmergedOn(t, cpu.Device{}, options, dirs...)
}

func unmergedOn(t *testing.T, device engine.Device, options compiler.Options, dirs ...string) (engine.AdapterModel, engine.ModelInfo) {
	t.Helper()
	options.Out = filepath.Join(t.TempDir(), "engine.plan")
	_, err := compiler.Build(t.Context(), options)
	check(t, err)
	plan, err := engine.Open(options.Out)
	check(t, err)
	model, err := device.Load(plan, engine.Settings{MaxStepTokens: 64, MaxSequences: 8, MaxRows: 64, MaxContext: 160, MaxAdapters: len(dirs)})
	check(t, err)
	t.Cleanup(func() { model.Close(); plan.Close() })
	host := model.(engine.AdapterModel)
	for i, dir := range dirs {
		check(t, host.LoadAdapter(i+1, adapterPlan(t, plan, dir)))
	}
	return host, plan.Info()
}

// adapterPlan makes the plan of an adapter and opens it for the time of the test.
func adapterPlan(t *testing.T, base *engine.Plan, dir string) *engine.Plan {
	t.Helper()
	out := filepath.Join(t.TempDir(), "adapter.plan")
	_, err := lora.Build(t.Context(), lora.Options{Dir: dir, Base: base, Out: out})
	check(t, err)
	plan, err := engine.Open(out)
	check(t, err)
	t.Cleanup(func() { plan.Close() })
	return plan
}

func TestAdapterBesideAModelIsWhatTransformersGives(t *testing.T) {
	base, adapter, g := adapted(t)
	model, info := unmerged(t, compiler.Options{Model: base, Quant: "f32"}, adapter.Dir)
	g.sameF32(t, engine.WithAdapter(model, 1), info.Vocab)
}

// A quantized model with an adapter beside it is as near to what was recorded as one that the adapter was merged into before it was quantized.
func TestAdapterBesideQuantizedModels(t *testing.T) {
	base, adapter, g := adapted(t)
	for _, format := range []string{"int8", "int4", "int8-w8a8"} {
		merged, info := openBuilt(t, compiler.Options{Model: base, Lora: []compiler.Adapter{adapter}, Quant: format})
		beside, _ := unmerged(t, compiler.Options{Model: base, Quant: format, LoraRank: 8}, adapter.Dir)
		for _, p := range g.Prompts {
			want := g.tensor(t, p.Name+".logits")
			_, ofMerged := relative(forward(t, merged, info.Vocab, p.IDs, false)[0], want)
			_, ofBeside := relative(forward(t, engine.WithAdapter(beside, 1), info.Vocab, p.IDs, false)[0], want)
			_, ofPlain := relative(forward(t, beside, info.Vocab, p.IDs, false)[0], want)
			t.Logf("%s %s: rms %.4f merged, %.4f beside, %.4f without", format, p.Name, ofMerged, ofBeside, ofPlain)
			if ofBeside > 2*ofMerged+0.01 {
				t.Errorf("%s %s: logits beside the model are off by %.4f, merged by %.4f", format, p.Name, ofBeside, ofMerged)
			}
			if ofPlain < 2*ofMerged {
				t.Errorf("%s %s: the adapter changes nothing that this test would see: %.4f without, %.4f merged", format, p.Name, ofPlain, ofMerged)
			}
		}
	}
}

// rewrite changes a file.
func rewrite(t *testing.T, path string, change func(file []byte)) {
	t.Helper()
	file, err := os.ReadFile(path)
	check(t, err)
	change(file)
	check(t, os.WriteFile(path, file, 0o644))
}

// wantRefusal makes the plan of an adapter and wants an error of one line.
func wantRefusal(t *testing.T, model, adapter, want string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "base.plan")
	_, err := compiler.Build(t.Context(), compiler.Options{Model: model, Out: path, Quant: "f32"})
	check(t, err)
	base, err := engine.Open(path)
	check(t, err)
	defer base.Close()
	out := filepath.Join(t.TempDir(), "adapter.plan")
	_, err = lora.Build(t.Context(), lora.Options{Dir: adapter, Base: base, Out: out})
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want %q", err, want)
	}
	if _, err := os.Stat(out); err == nil {
		t.Errorf("a plan was left for %q", want)
	}
}
