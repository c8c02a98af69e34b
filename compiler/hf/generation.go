package hf

import "math"

// GenerationFile holds the defaults of sampling.
const GenerationFile = "generation_config.json"

// Generation is how a checkpoint wants to be sampled. A nil field is not in the checkpoint.
type Generation struct {
	BOS, Pad *int32
	EOS      []int32
	// Of encoder-decoders: what an output comes behind, what it begins with, and what ends one that gets no longer.
	DecoderStart, ForcedBOS, ForcedEOS *int32

	DoSample          *bool
	Temperature       *float32
	TopK              *int32
	TopP              *float32
	MinP              *float32
	RepetitionPenalty *float32
	MaxNewTokens      *int32
}

// parseGeneration reads generation_config.json (nil when there is none). Token ids that it leaves out come from config.json,
// as transformers takes them.
func parseGeneration(config, generation *Object) (*Generation, error) {
	g := &Generation{}
	for _, obj := range []*Object{generation, config} {
		if obj == nil {
			continue
		}
		f := obj.Fields()
		if ids := f.IDs("eos_token_id"); g.EOS == nil {
			g.EOS = ids
		}
		g.BOS = firstID(f, "bos_token_id", g.BOS)
		g.Pad = firstID(f, "pad_token_id", g.Pad)
		g.DecoderStart = firstID(f, "decoder_start_token_id", g.DecoderStart)
		g.ForcedBOS, g.ForcedEOS = firstID(f, "forced_bos_token_id", g.ForcedBOS), firstID(f, "forced_eos_token_id", g.ForcedEOS)
		if f.BoolOr("force_bos_token_to_be_generated", false) && g.ForcedBOS == nil { // as it was called before
			g.ForcedBOS = g.BOS
		}
		if obj == generation {
			g.sampling(f)
		}
		if err := f.Err(); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func firstID(f *Fields, key string, known *int32) *int32 {
	if ids := f.IDs(key); known == nil && len(ids) > 0 {
		return &ids[0]
	}
	return known
}

func (g *Generation) sampling(f *Fields) {
	if f.Has("do_sample") {
		b := f.BoolOr("do_sample", false)
		g.DoSample = &b
	}
	for _, row := range []struct {
		key    string
		dst    **float32
		lo, hi float64
	}{
		{"temperature", &g.Temperature, 0, 1000},
		{"top_p", &g.TopP, 0, 1},
		{"min_p", &g.MinP, 0, 1},
		{"repetition_penalty", &g.RepetitionPenalty, 1e-3, 1e3},
	} {
		if f.Has(row.key) {
			x := float32(f.Float(row.key, row.lo, row.hi))
			*row.dst = &x
		}
	}
	for _, row := range []struct {
		key string
		dst **int32
	}{
		{"top_k", &g.TopK},
		{"max_new_tokens", &g.MaxNewTokens},
	} {
		if f.Has(row.key) {
			n := int32(f.Int(row.key, -1, math.MaxInt32))
			*row.dst = &n
		}
	}
}
