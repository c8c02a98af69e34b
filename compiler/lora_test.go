package compiler_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime/device/cpu"
)

// adapted returns a checkpoint, an adapter for it, and what transformers recorded of both together.
func adapted(t *testing.T) (base string, adapter compiler.Adapter, g *goldenFile) {
	t.Helper()
	root := filepath.Join(golden.Shared(t), "checkpoints")
	g = &goldenFile{dir: filepath.Join(root, "llama-lora")}
	text, err := os.ReadFile(filepath.Join(g.dir, "golden.json"))
	if err != nil {
		t.Skip(err)
	}
	check(t, json.Unmarshal(text, g))
	g.tensors, err = hf.OpenFile(filepath.Join(g.dir, "golden.safetensors"))
	check(t, err)
	t.Cleanup(func() { g.tensors.Close() })
	return filepath.Join(root, "llama-gqa"), compiler.Adapter{Dir: g.dir}, g
}

func TestMergedAdapterIsWhatTransformersGives(t *testing.T) {
	base, adapter, g := adapted(t)
	model, info := openBuilt(t, compiler.Options{Model: base, Lora: []compiler.Adapter{adapter}, Quant: "f32", Check: true})
	g.sameF32(t, model, info.Vocab)
}

func TestPlansWithAdapters(t *testing.T) {
	base, adapter, _ := adapted(t)
	adapters := []compiler.Adapter{adapter}
	dir := t.TempDir()
	other, merged, threads, refitted := filepath.Join(dir, "other"), filepath.Join(dir, "merged"), filepath.Join(dir, "threads"), filepath.Join(dir, "refitted")
	for path, o := range map[string]compiler.Options{other: {Lora: []compiler.Adapter{adapter, adapter}}, merged: {Lora: adapters, Threads: 1}, threads: {Lora: adapters, Threads: 3}} {
		o.Model, o.Out, o.Quant = base, path, "int8-w8a8" // turned: columns are read too
		_, err := compiler.Build(t.Context(), o)
		check(t, err)
	}
	_, err := compiler.Refit(t.Context(), compiler.RefitOptions{Plan: other, Model: base, Lora: adapters, Out: refitted})
	check(t, err)
	want, err := os.ReadFile(merged)
	check(t, err)
	for _, path := range []string{threads, refitted} {
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s has other bytes (%v)", filepath.Base(path), err)
		}
	}
	plan, err := engine.Open(merged)
	check(t, err)
	defer plan.Close()
	p, err := plan.Provenance()
	check(t, err)
	recorded := 0
	for _, f := range p.Files {
		if f.Name == "lora.1/adapter_config.json" || f.Name == "lora.1/adapter_model.safetensors" {
			recorded++
		}
	}
	if recorded != 2 {
		t.Errorf("the adapter's files are not recorded: %+v", p.Files)
	}
	model, err := (cpu.Device{}).Load(plan, compiler.VerifySettings())
	check(t, err)
	defer model.Close()
	v, err := compiler.Against(t.Context(), plan, model.(engine.Tracer), compiler.Original{Dir: base, Lora: []compiler.Adapter{adapter}})
	check(t, err)
	if !v.OK {
		t.Errorf("the plan is not what it was built from: %+v", v)
	}
	v, err = compiler.Against(t.Context(), plan, model.(engine.Tracer), compiler.Original{Dir: base})
	check(t, err)
	if v.OK || v.FirstBadWeight == "" {
		t.Errorf("the plan passes for one without the adapter: %+v", v)
	}
}

func TestAdaptersWantNumbers(t *testing.T) {
	_, adapter, _ := adapted(t)
	for _, name := range []string{"llama-gptq-int4-g128", "llama-fp8-compressed"} {
		_, err := compiler.Build(t.Context(), compiler.Options{Model: filepath.Join(filepath.Dir(adapter.Dir), name), Lora: []compiler.Adapter{adapter}, Out: filepath.Join(t.TempDir(), "x.plan")})
		if err == nil || !strings.Contains(err.Error(), name+": is quantized") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
