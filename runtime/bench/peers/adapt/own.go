package adapt

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"llmc/runtime/bench/peers/sample"
)

var own = Peer{
	Name: sample.Own,
	Variants: []Variant{
		{Format: "int4", Name: "int4"}, {Format: "int4", Name: "int4-a8"},
		{Format: "int8", Name: "int8"}, {Format: "int8", Name: "int8-w8a8"},
		{Format: "bf16", Name: "bf16"}, {Format: "f32", Name: "f32"},
	},
	Single:  true,
	Measure: measureOwn,
	Parse:   parseOwn,
	Start: func(b *Bench, v Variant) (Command, error) {
		ids := strings.Trim(strings.ReplaceAll(fmt.Sprint(b.IDs[:startPrompt]), " ", ","), "[]")
		return Command{Args: []string{b.llmrun(), "generate", b.Plan(v), "--tokens", ids, "--max-tokens", "1", "--ignore-eos", "--threads", b.threads()}}, nil
	},
	Serve: func(b *Bench, v Variant, s Serving) (Command, error) {
		return Command{Args: []string{b.llmrun(), "serve", b.Plan(v), "--served-model-name", ServedName, "--port", strconv.Itoa(s.Port),
			"--threads", b.threads(), "--max-batch", strconv.Itoa(s.Slots), "--max-context", strconv.Itoa(s.Context)}}, nil
	},
	Extra: map[string]any{"ignore_eos": true},
	Quality: func(b *Bench, v Variant) (Command, error) {
		return Command{Args: []string{b.LLMC(), "eval", b.Plan(v), "--text", b.Text, "--windows", strconv.Itoa(b.Windows), "--threads", b.threads(), "--json"}}, nil
	},
	Said: func(line string) (float64, bool) {
		var e struct{ PPL float64 }
		return e.PPL, json.Unmarshal([]byte(line), &e) == nil && e.PPL > 0
	},
	Version: func(b *Bench) string {
		text, _ := exec.Command(b.llmrun(), "--version").Output()
		return strings.TrimPrefix(strings.TrimSpace(string(text)), "llmrun version ")
	},
}

// ServedName is what all servers call the model, and startPrompt is how many tokens a prompt has whose first token is waited for.
const (
	ServedName  = "m"
	startPrompt = 32
)

// Plan is where the plan of a variant of ours lies.
func (b *Bench) Plan(v Variant) string { return filepath.Join(b.Scratch, b.Model+"."+v.Name+".plan") }

// LLMC is the compiler.
func (b *Bench) LLMC() string   { return filepath.Join(b.Bin, "llmc") }
func (b *Bench) llmrun() string { return filepath.Join(b.Bin, "llmrun") }

// Build is the command that makes the plan of a variant of ours. ParseBuild reads what it prints.
func (b *Bench) Build(v Variant) Command {
	return Command{Args: []string{b.LLMC(), "build", b.Checkpoint, "-o", b.Plan(v), "--quant", v.Name, "--threads", b.threads(), "--no-cache", "--json"}}
}

// Built is what a build says of itself.
type Built struct {
	Seconds    float64 `json:"seconds"`
	PeakAnon   int64   `json:"peak_anon_bytes"`
	Parameters int64   `json:"parameters"`
}

// ParseBuild reads what a build prints.
func ParseBuild(line string) (b Built, ok bool) {
	return b, json.Unmarshal([]byte(line), &b) == nil && b.Seconds > 0 && b.Parameters > 0
}

// Roofline is the command that measures the machine, ParseRoofline reads it.
func (b *Bench) Roofline() Command {
	return Command{Args: []string{b.llmrun(), "bench", "--roofline", "--threads", b.threads(), "--json"}}
}

// ParseRoofline reads the limits of the machine as samples.
func ParseRoofline(line string) ([]sample.Sample, error) {
	var r struct {
		Read []struct {
			Bytes     int64   `json:"bytes"`
			PerSecond float64 `json:"bytes_per_second"`
		} `json:"read"`
		Peaks []struct {
			Name, Target string
			PerSecond    float64 `json:"ops_per_second"`
		} `json:"peaks"`
	}
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return nil, fmt.Errorf("limits of the machine: %w", err)
	}
	var list []sample.Sample
	for _, m := range r.Read {
		list = append(list, sample.Sample{Key: sample.Key{Peer: sample.Machine, Metric: "read", Size: m.Bytes >> 20}, Value: m.PerSecond / 1e9})
	}
	for _, p := range r.Peaks {
		list = append(list, sample.Sample{Key: sample.Key{Peer: sample.Machine, Metric: "peak", Format: p.Target, Variant: p.Name}, Value: p.PerSecond / 1e9})
	}
	return list, nil
}

// Tokenize is the command that turns JSON strings on its input into ids.
func (b *Bench) Tokenize(v Variant) Command {
	return Command{Args: []string{b.llmrun(), "tokenize", b.Plan(v), "--no-special", "--json"}}
}

func measureOwn(b *Bench, v Variant, cases []Case) (Command, error) {
	c := cases[0]
	return Command{Args: []string{b.llmrun(), "bench", b.Plan(v), "--prompt", strconv.Itoa(c.Prompt), "--gen", strconv.Itoa(c.Gen), "--batch", strconv.Itoa(c.Batch),
		"--repeat", strconv.Itoa(c.Repeat), "--threads", b.threads(), "--json"}}, nil
}

func parseOwn(line string, cases []Case) ([]Found, error) {
	var rows []struct {
		Batch, Prompt, Gen int
		Prefill            float64 `json:"prefill_tps"`
		Decode             float64 `json:"decode_tps"`
		Bandwidth          float64 `json:"bandwidth_frac"`
	}
	if err := json.Unmarshal([]byte(line), &rows); err != nil {
		return nil, fmt.Errorf("what llmrun bench says: %w", err)
	}
	var found []Found
	for _, r := range rows {
		for i, c := range cases {
			switch {
			case r.Batch != c.Batch || r.Prompt != c.Prompt || r.Gen != c.Gen:
			case c.Gen == 0:
				found = append(found, Found{Case: i, Value: r.Prefill})
			default:
				found = append(found, Found{Case: i, Value: r.Decode, Share: r.Bandwidth})
			}
		}
	}
	return found, nil
}

// Inspect is the command that tells what a plan computes. ParseFlops reads of it how many multiplications and additions a prompt of that many tokens takes.
func (b *Bench) Inspect(v Variant) Command {
	return Command{Args: []string{b.LLMC(), "inspect", b.Plan(v), "--json"}}
}

// Predicted is how many tokens the prompt has that inspect tells the operations of.
const Predicted = 512

// ParseFlops adds up the operations of the launches of the prompt's step, the last of those that are told.
func ParseFlops(line string) (float64, error) {
	var plan struct {
		Programs []struct {
			Launches []struct {
				Steps []struct{ Flops float64 }
			}
		}
	}
	if err := json.Unmarshal([]byte(line), &plan); err != nil {
		return 0, fmt.Errorf("what llmc inspect says: %w", err)
	}
	sum := 0.0
	for _, p := range plan.Programs[:min(1, len(plan.Programs))] {
		for _, l := range p.Launches {
			if n := len(l.Steps); n > 0 {
				sum += l.Steps[n-1].Flops
			}
		}
	}
	if sum == 0 {
		return 0, fmt.Errorf("llmc inspect tells of no operations")
	}
	return sum, nil
}
