package dump

import (
	"fmt"
	"math/bits"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/sym"
)

// Defaults of a server, which a report takes for what is left open.
const (
	pageSize          = engine.DefaultPageSize // positions of a page of the KV cache
	defaultBatch      = 64
	defaultStepTokens = 512
)

// MemorySettings are the launch settings that a memory report is made for. Zero takes the server's default.
type MemorySettings struct {
	MaxBatch, MaxContext, StepTokens int
	KVMemory                         int64 // 0: all sequences at full context, which a server cuts to a part of the machine's memory
	// Of GPUs: what is free, 0 for all that the card of the target has, and the part of it that may be taken.
	DeviceMemory int64
	Utilization  float64
	// Adapters beside the model, on GPUs, and the rank of one at most: 0 for what the plan was built for.
	MaxAdapters, AdapterRank int
	Cards                    int // GPUs that share each layer, of each of which the report then is; up to 1: one has all of it
	Stages                   int // groups of so many that have some of the layers each
}

// Memory says what a plan takes at given settings, from the plan alone. What GPUs take is the runtime's to say, to the byte.
type Memory struct {
	WeightBytes     int64 `json:"weight_bytes"`
	ActivationBytes int64 `json:"activation_bytes"`
	ArrayBytes      int64 `json:"array_bytes,omitempty"`   // of GPUs: what the host tells each step
	AdapterBytes    int64 `json:"adapter_bytes,omitempty"` // of GPUs: places of adapters beside the model
	KVTokenBytes    int64 `json:"kv_bytes_per_token"`
	KVBytes         int64 `json:"kv_bytes"`
	TotalBytes      int64 `json:"total_bytes"`
	FreeBytes       int64 `json:"free_bytes,omitempty"` // of the GPU that the report is made for
	Pages           int64 `json:"kv_pages"`
	// Tokens is how many positions fit the KV memory; FullSequences how many sequences of MaxContext. Both are in whole pages.
	Tokens        int64 `json:"kv_tokens"`
	FullSequences int64 `json:"sequences_at_max_context"`
	MaxBatch      int   `json:"max_batch"`
	MaxContext    int   `json:"max_context"`
	StepTokens    int   `json:"max_step_tokens"`
}

// check fills in what is left open and refuses what no server takes.
func (s *MemorySettings) check(info engine.ModelInfo) error {
	for _, d := range []struct {
		name      string
		v         *int
		def, high int
	}{
		{"max-batch", &s.MaxBatch, defaultBatch, 1 << 16}, {"max-step-tokens", &s.StepTokens, defaultStepTokens, 1 << 16},
		{"max-context", &s.MaxContext, max(info.MaxContext, 1), 1 << 31},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
		if *d.v < 1 || *d.v > d.high {
			return fmt.Errorf("%s is %d: must be within 1..%d", d.name, *d.v, d.high)
		}
	}
	s.StepTokens = max(s.StepTokens, s.MaxBatch)
	return nil
}

// NewMemory computes the report of a program.
func NewMemory(p *engine.Plan, program *engine.Program, s MemorySettings) (*Memory, error) {
	if err := s.check(p.Info()); err != nil {
		return nil, err
	}
	m := &Memory{MaxBatch: s.MaxBatch, MaxContext: s.MaxContext, StepTokens: s.StepTokens}
	counted := map[string]bool{}
	for _, f := range p.Functions() {
		own := program
		if f != program.Func {
			var err error
			if own, err = p.Program(f, program.Target); err != nil { // what is of other targets is not loaded
				return nil, err
			}
		}
		if err := m.function(p, own, s, counted); err != nil {
			return nil, fmt.Errorf("function %s: %w", f, err)
		}
	}
	if err := m.cache(program, s.KVMemory); err != nil {
		return nil, err
	}
	m.TotalBytes = m.WeightBytes + m.ActivationBytes + m.KVBytes
	return m, nil
}

// function adds the weights that have not been counted, and the activations, of one function.
func (m *Memory) function(p *engine.Plan, program *engine.Program, s MemorySettings, counted map[string]bool) error {
	for _, name := range program.Weights {
		if counted[name] {
			continue
		}
		counted[name] = true
		w, _, err := p.Weight(name)
		if err != nil {
			return err
		}
		m.WeightBytes += w.Bytes
	}
	env := sym.Bind(int64(s.StepTokens), int64(s.MaxBatch), int64(s.MaxBatch), int64(s.MaxContext))
	for i, slot := range program.Slots {
		n, err := slot.Eval(env)
		if err != nil {
			return fmt.Errorf("slot %d: %w", i, err)
		}
		m.ActivationBytes += (n + layout.Align - 1) / layout.Align * layout.Align
	}
	return nil
}

// cache fills in the figures of the KV cache. given is its size in bytes, 0: what all sequences take at full context.
func (m *Memory) cache(program *engine.Program, given int64) error {
	kinds := map[string]int64{} // all layers and caches of one page, which has those of a kind
	size := int64(program.DefaultPageSize())
	for i, c := range program.Caches {
		layer, err := program.LayerBytes(i, int(size))
		if err != nil {
			return err
		}
		n, err := product(layer, int64(c.Layers))
		if err != nil {
			return fmt.Errorf("cache %s: %w", c.Name, err)
		}
		kinds[c.Kind] += n
	}
	pageBytes := int64(0)
	for _, n := range kinds {
		pageBytes = max(pageBytes, n)
	}
	perSequence := (int64(m.MaxContext) + size - 1) / size
	if program.Encodes() { // a text is as long as a sequence may be
		perSequence *= 2
	}
	m.KVTokenBytes, m.KVBytes = pageBytes/size, given
	if given == 0 {
		pages, err := product(perSequence, int64(m.MaxBatch))
		if err != nil {
			return err
		}
		if m.KVBytes, err = product(pages, pageBytes); err != nil {
			return fmt.Errorf("KV cache of %d sequences: %w; set --kv-memory", m.MaxBatch, err)
		}
	}
	if pageBytes > 0 {
		m.SetPages(m.KVBytes/pageBytes, size, perSequence)
	}
	return nil
}

// SetPages fills in what so many pages of size positions hold, of which a sequence at full context takes perSequence.
func (m *Memory) SetPages(pages, size, perSequence int64) {
	m.Pages, m.Tokens, m.FullSequences = pages, pages*size, pages/perSequence
}

// product multiplies sizes that are not negative.
func product(a, b int64) (int64, error) {
	const high = 1 << 60
	if hi, lo := bits.Mul64(uint64(a), uint64(b)); hi == 0 && lo <= high {
		return int64(lo), nil
	}
	return 0, fmt.Errorf("%d times %d bytes is beyond any memory", a, b)
}
