package adapt

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"llmc/runtime/bench/peers/sample"
)

// llama.cpp is run by its own programs, with flash attention: without it several sequences are slower.
var llamaCpp = Peer{
	Name:  "llama.cpp",
	Needs: "llama.cpp/bin/llama-bench",
	Variants: []Variant{
		{Format: "int4", Name: "q4_0-pure", Path: "gguf/*.q4_0-pure.gguf"},
		{Format: "int4", Name: "q4_0", Path: "gguf/*.q4_0.gguf", Also: true},
		{Format: "int4", Name: "q4_k_m", Path: "gguf/*.q4_k_m.gguf", Also: true},
		{Format: "int8", Name: "q8_0", Path: "gguf/*.q8_0.gguf"},
		{Format: "bf16", Name: "bf16", Path: "gguf/*.bf16.gguf"},
	},
	Single:  true,
	Measure: measureLlama,
	Parse:   parseLlama,
	Start: func(b *Bench, v Variant) (Command, error) {
		return Command{Args: []string{b.llama("llama-completion"), "-m", b.Path(v), "-t", b.threads(), "-c", "512", "-n", "1", "-no-cnv", "--no-warmup",
			"-p", strings.Repeat("river stone light garden ", startPrompt/4)}}, nil
	},
	Serve: func(b *Bench, v Variant, s Serving) (Command, error) {
		return Command{Args: []string{b.llama("llama-server"), "-m", b.Path(v), "-t", b.threads(), "-tb", b.threads(), "-np", strconv.Itoa(s.Slots),
			"-c", strconv.Itoa(s.Slots * s.Context), "--host", "127.0.0.1", "--port", strconv.Itoa(s.Port), "--cache-ram", "0"}}, nil
	},
	Extra: map[string]any{"ignore_eos": true, "cache_prompt": false},
	// llama-perplexity scores 255 of the 256 tokens of a window's second half, of a text that it tokenizes by itself.
	Quality: func(b *Bench, v Variant) (Command, error) { return b.scorer("ref", "peer_llamacpp.py", v) },
	Said:    saidLoss,
	Version: func(b *Bench) string {
		text, _ := os.ReadFile(filepath.Join(b.Peers, "llama.cpp-src", "PKG-INFO"))
		_, rest, _ := strings.Cut(string(text), "\nVersion: ")
		version, _, _ := strings.Cut(rest, "\n")
		return "of llama-cpp-python " + version
	},
}

func (b *Bench) llama(program string) string {
	return filepath.Join(b.Peers, "llama.cpp", "bin", program)
}

// ownWarmUp is how many tokens a prompt has that needs no other before it: adaptors think likewise.
const ownWarmUp = 1024

func measureLlama(b *Bench, v Variant, cases []Case) (Command, error) {
	c := cases[0]
	if c.Batch > 1 {
		return Command{Args: []string{b.llama("llama-batched-bench"), "-m", b.Path(v), "-t", b.threads(), "-tb", b.threads(), "-c", strconv.Itoa(c.Batch * (c.Prompt + c.Gen)),
			"-b", "2048", "-ub", "512", "-fa", "on", "-npp", strconv.Itoa(c.Prompt), "-ntg", strconv.Itoa(c.Gen), "-npl", strconv.Itoa(c.Batch), "--output-format", "jsonl"}}, nil
	}
	prompt, depth := c.Prompt, 0
	if c.Gen > 0 {
		prompt, depth = 0, c.Prompt
	}
	args := []string{b.llama("llama-bench"), "-m", b.Path(v), "-t", b.threads(), "-p", strconv.Itoa(prompt), "-n", strconv.Itoa(c.Gen), "-d", strconv.Itoa(depth),
		"-r", strconv.Itoa(c.Repeat), "-fa", "1", "-o", "jsonl"}
	if c.Prompt >= ownWarmUp {
		args = append(args, "--no-warmup")
	}
	return Command{Args: args}, nil
}

// parseLlama reads a line of llama-bench or of llama-batched-bench.
func parseLlama(line string, cases []Case) ([]Found, error) {
	if !strings.HasPrefix(line, "{") {
		return nil, nil
	}
	var r struct {
		Prompt  int       `json:"n_prompt"`
		Gen     int       `json:"n_gen"`
		Depth   int       `json:"n_depth"`
		Samples []float64 `json:"samples_ts"`

		PP    int     `json:"pp"`
		TG    int     `json:"tg"`
		PL    int     `json:"pl"`
		Speed float64 `json:"speed_tg"`
	}
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return nil, fmt.Errorf("what llama.cpp says: %w", err)
	}
	for i, c := range cases {
		switch {
		case c.Batch > 1 && r.PL == c.Batch && r.PP == c.Prompt && r.TG == c.Gen && r.Speed > 0:
			return []Found{{Case: i, Value: r.Speed}}, nil
		case c.Batch == 1 && r.Gen == c.Gen && r.Prompt+r.Depth == c.Prompt && len(r.Samples) > 0:
			return []Found{{Case: i, Value: sample.Median(r.Samples)}}, nil
		}
	}
	return nil, fmt.Errorf("llama.cpp has measured something else: %.200s", line)
}
