package limits

import (
	"fmt"

	"llmc/engine"
)

// Defaults of the settings that a launch leaves open.
const (
	defaultStepTokens = 512
	defaultSequences  = 64
	DefaultPageSize   = engine.DefaultPageSize
	maxPageSize       = 1024 // of caches whose pages grow with their positions it is less
	maxDrafts         = 64   // of all sequences in one step: with more tokens, arithmetic is what a step waits for
	maxStepTokens     = 1 << 16
	maxThreads        = 1 << 10 // more than processors are of no use, but harmless: they take turns
)

// Request is what a device asks defaults for.
type Request struct {
	Settings   engine.Settings
	Info       *engine.ModelInfo
	TokenBytes int64 // cache size of one position
	Threads    int   // workers when the settings leave it open
	Texts      bool  // sequences have texts that are encoded, with pages of their own
	Adapters   bool  // the device takes adapters beside the model
	Whole      bool  // functions want all tokens of a sequence in one step
	KVMemory   int64 // bytes that the cache takes at most when the settings leave it open
}

// Limits are the settings in force, defaults filled in.
type Limits struct {
	engine.Settings
	Vocab int
	Pages int // KV pages that fit
	Types int // types that a token can have; 0: one, which need not be said
}

// Fill gives what the settings leave open its default and checks the rest.
func (r Request) Fill() (Limits, error) {
	s := r.Settings
	setDefault(&s.Threads, r.Threads)
	setDefault(&s.PageSize, DefaultPageSize)
	setDefault(&s.MaxSequences, defaultSequences)
	setDefault(&s.MaxContext, max(r.Info.MaxContext, 1))
	tokens := defaultStepTokens
	switch {
	case r.Whole && r.Info.Insert != nil: // of images alone
		tokens = min(max(tokens, r.Info.Image.Rows()), maxStepTokens)
	case r.Whole:
		tokens = min(max(tokens, s.MaxContext), maxStepTokens)
	}
	setDefault(&s.MaxStepTokens, tokens)
	s.MaxStepTokens = max(s.MaxStepTokens, s.MaxSequences)
	setDefault(&s.MaxRows, min(s.MaxSequences+min(s.MaxSequences*s.Drafts, maxDrafts), s.MaxStepTokens))
	l := Limits{Settings: s, Vocab: r.Info.Vocab}
	if err := r.fillAdapters(&s); err != nil {
		return l, err
	}
	for _, c := range []struct {
		name    string
		v, high int
	}{
		{"threads", s.Threads, maxThreads}, {"max-step-tokens", s.MaxStepTokens, maxStepTokens}, {"max-batch", s.MaxSequences, maxStepTokens},
		{"max-context", s.MaxContext, 1 << 24}, {"rows", s.MaxRows, s.MaxStepTokens}, {"page size", s.PageSize, maxPageSize}, {"drafts", s.Drafts + 1, maxStepTokens},
	} {
		if c.v < 1 || c.v > c.high {
			return l, fmt.Errorf("%s is %d: must be within 1..%d", c.name, c.v, c.high)
		}
	}
	pageBytes := r.TokenBytes * int64(s.PageSize)
	perSequence := int64((s.MaxContext + s.PageSize - 1) / s.PageSize)
	if r.Texts {
		perSequence *= 2
	}
	if s.KVBytes == 0 {
		s.KVBytes = min(perSequence*int64(s.MaxSequences)*pageBytes, r.KVMemory)
		s.KVBytes = max(s.KVBytes, pageBytes)
	}
	pages := perSequence * int64(s.MaxSequences) // of a program that caches nothing
	if pageBytes > 0 {
		pages = s.KVBytes / pageBytes
	}
	if pages < 1 {
		return l, fmt.Errorf("kv-memory of %d bytes: one page takes %d", s.KVBytes, pageBytes)
	}
	l.Settings, l.Pages = s, int(pages)
	return l, nil
}

func setDefault(v *int, def int) {
	if *v == 0 {
		*v = def
	}
}
