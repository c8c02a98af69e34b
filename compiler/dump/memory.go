package dump

import (
	"fmt"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/sym"
)

// Launch settings that a memory report is made for. Zero takes the servers' defaults.
type MemorySettings struct {
	MaxBatch, MaxContext, StepTokens int
	KVMemory                         int64
}

// Memory says what a plan takes at given settings, from the plan alone.
type Memory struct {
	WeightBytes     int64 `json:"weight_bytes"`
	ActivationBytes int64 `json:"activation_bytes"`
	KVTokenBytes    int64 `json:"kv_bytes_per_token"`
	KVBytes         int64 `json:"kv_bytes"`
	TotalBytes      int64 `json:"total_bytes"`
	// Tokens is how many positions fit the KV memory; FullSequences how many sequences of MaxContext.
	Tokens        int64 `json:"kv_tokens"`
	FullSequences int64 `json:"sequences_at_max_context"`
	MaxBatch      int   `json:"max_batch"`
	MaxContext    int   `json:"max_context"`
	StepTokens    int   `json:"max_step_tokens"`
}

// NewMemory computes the report of a program.
func NewMemory(p *engine.Plan, program *engine.Program, s MemorySettings) (*Memory, error) {
	info := p.Info()
	defaults := []struct {
		v   *int
		def int
	}{{&s.MaxBatch, 64}, {&s.MaxContext, info.MaxContext}, {&s.StepTokens, 512}}
	for _, d := range defaults {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	m := &Memory{MaxBatch: s.MaxBatch, MaxContext: s.MaxContext, StepTokens: s.StepTokens}
	for _, w := range p.Weights() {
		m.WeightBytes += w.Bytes
	}
	env := sym.Bind(int64(max(s.StepTokens, s.MaxBatch)), int64(s.MaxBatch), int64(s.MaxBatch), int64(s.MaxContext))
	for i, slot := range program.Slots {
		n, err := slot.Eval(env)
		if err != nil {
			return nil, fmt.Errorf("slot %d: %w", i, err)
		}
		m.ActivationBytes += n
	}
	const page = 16
	for _, c := range program.Caches {
		kv, err := layout.NewKV(c.DType, page, c.KVHeads, c.Dim)
		if err != nil {
			return nil, fmt.Errorf("cache %s: %w", c.Name, err)
		}
		m.KVTokenBytes += int64(kv.Bytes()) * int64(c.Layers) / page
	}
	m.KVBytes = s.KVMemory
	if m.KVBytes == 0 {
		m.KVBytes = m.KVTokenBytes * int64(s.MaxBatch) * int64(s.MaxContext)
	}
	if m.KVTokenBytes > 0 {
		m.Tokens = m.KVBytes / m.KVTokenBytes
		m.FullSequences = m.Tokens / int64(max(1, s.MaxContext))
	}
	m.TotalBytes = m.WeightBytes + m.ActivationBytes + m.KVBytes
	return m, nil
}
