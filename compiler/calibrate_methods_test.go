package compiler_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime/device/cpu"
)

// mixtureConfig is of a mixture of so many experts that a short text sends some of them next to nothing.
const mixtureConfig = `{"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "vocab_size": 1024, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1,
"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": 512, "rms_norm_eps": 1e-06, "torch_dtype": "bfloat16", "tie_word_embeddings": false,
"num_local_experts": 32, "num_experts_per_tok": 1, "sliding_window": null, "rope_theta": 5000.0}`

// mixtureDir is a checkpoint without weights.
func mixtureDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(mixtureConfig), 0o600))
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		data, err := os.ReadFile(filepath.Join("../testdata/demo", name))
		check(t, err)
		check(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return dir
}

// TestExpertsAreCalibrated on the rows that they are sent: their outputs lose less than by rounding. Those that are sent few are rounded, and named.
func TestExpertsAreCalibrated(t *testing.T) {
	seed := uint64(5)
	model := mixtureDir(t)
	losses := map[string]map[string]compiler.WeightLoss{}
	for _, method := range []string{"gptq", "rtn"} {
		out := filepath.Join(t.TempDir(), "x.plan")
		o := compiler.Options{Model: model, Random: &seed, Quant: "int4-g32", Out: out, Archs: []string{"x86-64-v3"},
			Calibration: &compiler.Calibration{Text: demoText(t), Method: method, Open: openPlan}}
		report, err := compiler.Build(t.Context(), o)
		check(t, err)
		rounded := strings.Join(report.Accuracy.Rounded, "\n")
		if len(report.Accuracy.Rounded) != 2 || !strings.Contains(rounded, "of 32 experts") || strings.Count(rounded, ",") > 50 {
			t.Errorf("%s: rounded experts %q", method, rounded)
		}
		plan, err := engine.Open(out)
		check(t, err)
		section, err := plan.Section(engine.KindAccuracy, "")
		check(t, err)
		var a compiler.Accuracy
		check(t, json.Unmarshal(section, &a))
		losses[method] = map[string]compiler.WeightLoss{}
		for _, w := range a.Weights {
			losses[method][w.Name] = w
		}
		check(t, plan.Close())
	}
	experts := 0
	for name, gptq := range losses["gptq"] {
		if !strings.Contains(name, "experts") {
			continue
		}
		experts++
		if rtn := losses["rtn"][name]; !(gptq.Output > 0 && gptq.Output < rtn.Output) {
			t.Errorf("%s: outputs are off by %g, by %g where codes are the nearest", name, gptq.Output, rtn.Output)
		}
	}
	if experts != 2 {
		t.Errorf("%d weights of experts in %v", experts, losses["gptq"])
	}
}

// TestScaledColumnsKeepTheModel: plans whose columns a method scaled are verified against the checkpoint, which holds the pass and the recipes to the model's function.
func TestScaledColumnsKeepTheModel(t *testing.T) {
	for method, format := range map[string]string{"awq": "int4-g128", "smoothquant": "int8-w8a8"} {
		out := filepath.Join(t.TempDir(), "x.plan")
		report := calibratedBuild(t, out, method, compiler.Options{Quant: format})
		plan, err := engine.Open(out)
		check(t, err)
		text, err := plan.Section(engine.KindIR, "final")
		check(t, err)
		if !strings.Contains(string(text), "scaled(") || strings.Contains(string(text), "hadamard") {
			t.Errorf("%s: no weight is scaled, or the model is turned", method)
		}
		if method == "awq" { // what one method's factors are made of another's are
			if v := verifiedPlan(t, cpu.Device{}, plan, "../testdata/demo"); !v.OK {
				t.Errorf("%s: verification: %+v", method, v)
			}
		}
		check(t, plan.Close())
		t.Logf("%s: divergence %.5f", method, *report.Accuracy.Text.KL)
	}
}
