package cpu

import (
	"fmt"
	"runtime"

	"llmc/engine"
)

// Defaults of the settings that a launch leaves open.
const (
	defaultStepTokens = 512
	defaultSequences  = 64
	defaultPageSize   = 16
	kvShareOfMemory   = 4 // the cache takes at most this part of the machine's memory
	maxStepTokens     = 1 << 16
	maxThreads        = 1 << 10 // more than processors are of no use, but harmless: they take turns
)

// withDefaults fills in what s leaves open and checks the rest. tokenBytes is the cache size of one position.
func withDefaults(s engine.Settings, info *engine.ModelInfo, tokenBytes int64) (engine.Settings, int, error) {
	setDefault(&s.Threads, runtime.NumCPU())
	setDefault(&s.PageSize, defaultPageSize)
	setDefault(&s.MaxSequences, defaultSequences)
	setDefault(&s.MaxStepTokens, defaultStepTokens)
	setDefault(&s.MaxContext, max(info.MaxContext, 1))
	s.MaxStepTokens = max(s.MaxStepTokens, s.MaxSequences)
	setDefault(&s.MaxRows, s.MaxSequences)
	for _, c := range []struct {
		name    string
		v, high int
	}{
		{"threads", s.Threads, maxThreads}, {"max-step-tokens", s.MaxStepTokens, maxStepTokens}, {"max-batch", s.MaxSequences, maxStepTokens},
		{"max-context", s.MaxContext, 1 << 24}, {"rows", s.MaxRows, s.MaxStepTokens}, {"page size", s.PageSize, 128},
	} {
		if c.v < 1 || c.v > c.high {
			return s, 0, fmt.Errorf("%s is %d: must be within 1..%d", c.name, c.v, c.high)
		}
	}
	pageBytes := tokenBytes * int64(s.PageSize)
	perSequence := int64((s.MaxContext + s.PageSize - 1) / s.PageSize)
	if s.KVBytes == 0 {
		s.KVBytes = min(perSequence*int64(s.MaxSequences)*pageBytes, physicalMemory()/kvShareOfMemory)
		s.KVBytes = max(s.KVBytes, pageBytes)
	}
	pages := s.KVBytes / max(pageBytes, 1)
	if pages < 1 {
		return s, 0, fmt.Errorf("kv-memory of %d bytes: one page takes %d", s.KVBytes, pageBytes)
	}
	return s, int(pages), nil
}

func setDefault(v *int, def int) {
	if *v == 0 {
		*v = def
	}
}
