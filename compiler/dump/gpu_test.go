package dump_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/dump"
	"llmc/engine"
)

// The shape of Llama 3 8B, each width a quarter, two layers.
const smallShape = `{"model_type":"llama","hidden_size":1024,"intermediate_size":3584,"num_attention_heads":8,"num_key_value_heads":2,"head_dim":128,
"num_hidden_layers":2,"vocab_size":8016,"rms_norm_eps":1e-05,"max_position_embeddings":4096}`

func gpuPlan(t *testing.T, format string, archs ...string) *engine.Plan {
	t.Helper()
	dir, seed := t.TempDir(), uint64(1)
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(smallShape), 0o644))
	out := filepath.Join(dir, "engine.plan")
	_, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: out, Archs: archs, Quant: format, Random: &seed})
	check(t, err)
	plan, err := engine.Open(out)
	check(t, err)
	t.Cleanup(func() { plan.Close() })
	return plan
}

// TestGPURoofline compares predictions with what the shape says by hand: weights of a decoding step within 3 % of what the format's bits
// take, products of a prompt exactly, and times of the whole card at the rate of bf16, in which all formats are multiplied.
func TestGPURoofline(t *testing.T) {
	const layer = (8+2*2)*128*1024 + 1024*1024 + 3*3584*1024 // multiplied for each token
	const head = 8016 * 1024                                 // for each sampled row
	for format, bits := range map[string]float64{"bf16": 16, "int8": 8, "int4-g32": 4.5, "int4-g128-zp": 4.1875} {
		plan := gpuPlan(t, format, "sm90")
		report, err := dump.NewPlan(plan, 2)
		check(t, err)
		p := report.Programs[0]
		target, err := engine.FindTarget("sm90")
		check(t, err)
		if p.Cores != target.Cores || !strings.Contains(p.Card, "H200") || !strings.Contains(p.Assumed(), "132 multiprocessors") {
			t.Errorf("times are for %s", p.Assumed())
		}
		weights, want := int64(0), (2*layer+head)*bits/8
		for _, l := range p.Launches {
			weights += l.WeightBytes
		}
		if ratio := float64(weights) / want; math.Abs(ratio-1) > 0.03 {
			t.Errorf("%s: a step reads %d bytes of weights, %.0f are expected", format, weights, want)
		}
		for i, s := range p.Steps {
			var sum dump.Cost
			for _, l := range p.Launches {
				c := l.Steps[i]
				sum.Bytes, sum.Flops, sum.Seconds = sum.Bytes+c.Bytes, sum.Flops+c.Flops, sum.Seconds+c.Seconds
				roof := max(c.Bytes/(4.8e12), c.Flops/989e12)
				if math.Abs(c.Seconds-roof) > 1e-9*roof {
					t.Errorf("%s, %s: %v s, the roofline is at %v", format, l.Label, c.Seconds, roof)
				}
			}
			if sum != s.Cost || sum.Bytes < float64(weights) {
				t.Errorf("%s, step of %d: %+v, its launches take %+v", format, s.Tokens, s.Cost, sum)
			}
		}
		// Of the last layer only the sampled row goes on behind attention, whose keys and values all tokens have.
		const last = (8 + 2*2) * 128 * 1024
		n := float64(p.Steps[1].Tokens)
		products := 2 * (n*(layer+last) + (layer - last) + head)
		scores := 2 * 2 * 2 * 8 * 128 * n * (n + 1) / 2
		if got := p.Steps[1].Flops; got != products+scores {
			t.Errorf("%s: %v operations for a prompt of %v, want %v", format, got, n, products+scores)
		}
	}
}

// TestPTX wants the code of a target, and its entries one by one, to be what the plan holds.
func TestPTX(t *testing.T) {
	plan := gpuPlan(t, "int4", "x86-64-v3", "sm80", "sm90")
	text, err := plan.Section(engine.KindPTX, "sm90")
	check(t, err)
	whole, err := dump.FindPTX(plan, "sm90")
	check(t, err)
	if len(whole) != 1 || whole[0].String() != string(text) {
		t.Fatal("the target's code is not that of the plan")
	}
	report, err := dump.NewPlan(plan, 2)
	check(t, err)
	entries := map[string]string{}
	for _, e := range whole[0].Entries {
		entries[e.Name] = e.Text
	}
	for _, l := range report.Programs[2].Launches {
		if len(l.Code) == 0 {
			t.Fatalf("%s has no code", l.Label)
		}
		c := l.Code[len(l.Code)-1]
		if c.Threads < 32 || c.Grid[0] == "" || !strings.Contains(entries[c.Entry], ".entry "+c.Entry+"(") {
			t.Errorf("%s: code %+v", l.Label, c)
		}
		one, err := dump.FindPTX(plan, "sm90/"+c.Entry)
		check(t, err)
		if len(one) != 1 || one[0].String() != whole[0].Head+entries[c.Entry] {
			t.Errorf("%s alone is %d modules", c.Entry, len(one))
		}
		if l.Kernel == "cuda.linear" && c.Shared+c.StaticShared < 1024 {
			t.Errorf("%s declares %d bytes of shared memory", c.Entry, c.StaticShared)
		}
	}
	if both, err := dump.FindPTX(plan, "rmsnorm_1"); err != nil || len(both) != 2 || both[0].Target != "sm80" {
		t.Errorf("rmsnorm_1: %d modules, %v", len(both), err)
	}
	for _, name := range []string{"sm89", "sm90/", "sm90/none", "sm89/rmsnorm_1", "/", ""} {
		if _, err := dump.FindPTX(plan, name); err == nil || !strings.Contains(err.Error(), "sm80 (rope_turns_1, gather_1, ") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if report.Programs[0].Launches[0].Code != nil {
		t.Error("a CPU launch has code")
	}
	if _, err := dump.FindPTX(tinyPlan(t), "sm90"); err == nil || !strings.Contains(err.Error(), "holds no PTX") {
		t.Errorf("without PTX: %v", err)
	}
	var out bytes.Buffer
	check(t, report.WriteText(&out, true))
	for _, want := range []string{"T x 1 x 1", "linear_swiglu_1", "132 multiprocessors (Hopper; figures of an H200)", "2 threads; nominal"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
}

// FuzzPTX cuts any text, of which nothing is lost but blank lines between entries.
func FuzzPTX(f *testing.F) {
	f.Add(".version 7.8\n.target sm_80\n\n.visible .entry a(\n)\n{\nret;\n}\n\n.entry b()\n{ ret; }\n")
	f.Add(".entry .entry x\n.visible\t.entry %y")
	f.Fuzz(func(t *testing.T, text string) {
		p := dump.NewPTX("sm80", text)
		squeeze := func(s string) string { return strings.ReplaceAll(s, "\n", "") }
		if squeeze(p.String()) != squeeze(text) {
			t.Errorf("%q became %q", text, p.String())
		}
	})
}
