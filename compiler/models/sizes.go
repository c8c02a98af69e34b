package models

import (
	"cmp"
	"slices"
	"strings"

	"llmc/compiler/hf"
)

// sizes are the keys of config.json that say how large a model is. A text of several keys holds names for the same, of which a checkpoint has one.
// Empty: the family has no such key.
type sizes struct {
	vocab, hidden, inner, layers, heads, kvHeads, dim, eps, positions string
}

// llamaSizes are the keys that most families have.
var llamaSizes = sizes{
	vocab: "vocab_size", hidden: "hidden_size", inner: "intermediate_size", layers: "num_hidden_layers", heads: "num_attention_heads",
	kvHeads: "num_key_value_heads", dim: "head_dim", eps: "rms_norm_eps", positions: "max_position_embeddings",
}

// with returns s with what change sets.
func (s sizes) with(change func(s *sizes)) sizes {
	change(&s)
	return s
}

func (s *sizes) keys() []string {
	return strings.Fields(strings.Join([]string{s.vocab, s.hidden, s.inner, s.layers, s.heads, s.kvHeads, s.dim, s.eps, s.positions}, " "))
}

// named returns which of the names for a key config.json has, the first one where it has none.
func named(f *hf.Fields, keys string) string {
	all := strings.Fields(keys)
	if i := slices.IndexFunc(all, f.Has); i >= 0 {
		return all[i]
	}
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// Largest sizes, beyond those of any model, so that products stay small. The width of a matrix is bounded by packed layouts.
const (
	maxVocab  = 1 << 20 // the widest activation that a program may have: the logits
	maxWidth  = 1 << 20
	maxLayers = 4096
	maxHeads  = 4096
)

// defaults are the values of transformers' config classes for keys that checkpoints leave out.
type defaults struct {
	vocab, hidden, layers, heads int64 // 0: the key must be there

	kvHeads      int64 // 0: as many as heads
	dim          int64 // 0: hidden_size / num_attention_heads
	inner        int64 // times hidden_size, where the key is missing; 0: it must not be
	width        int64 // of the MLP, in place of inner
	eps          float64
	maxPositions int64
	tied         bool
}

// readDecoder reads what families share into a copy of the family's shape.
func readDecoder(f *hf.Fields, fam *family) *decoder {
	s, def, d := &fam.sizes, fam.defaults, fam.shape
	heads := int64(1) // of a family that has none
	if s.heads != "" {
		heads = readSize(f, s.heads, def.heads, maxHeads)
	}
	hidden := readSize(f, s.hidden, def.hidden, maxWidth)
	if kv := named(f, s.kvHeads); def.kvHeads == 0 || kv != "" && f.Present(kv) && !f.Has(kv) {
		def.kvHeads = heads
	}
	if def.dim == 0 && !f.Has(s.dim) {
		def.dim = hidden / max(heads, 1)
		if hidden%max(heads, 1) != 0 {
			f.Fail(named(f, s.hidden), "%d is not a multiple of %s %d%s", hidden, named(f, s.heads), heads, noDim(s.dim))
		}
	}
	if def.eps == 0 {
		def.eps = 1e-6
	}
	if s.vocab != "" {
		d.vocab = int(readSize(f, s.vocab, def.vocab, maxVocab))
	}
	d.hidden = int(hidden)
	d.inner = readInner(f, named(f, s.inner), cmp.Or(def.width, def.inner*hidden))
	d.layers = int(readSize(f, s.layers, def.layers, maxLayers))
	d.heads = int(heads)
	d.kvHeads = int(f.IntOr(named(f, s.kvHeads), def.kvHeads, 1, maxHeads))
	d.dim = int(f.IntOr(s.dim, def.dim, 2, maxWidth))
	d.eps = f.FloatOr(named(f, s.eps), def.eps, 0, 1)
	d.tied = f.BoolOr("tie_word_embeddings", def.tied)
	d.maxContext = f.IntOr(named(f, s.positions), def.maxPositions, 1, maxPositions)
	d.names = fam.names
	d.checkHeads(f, s)
	d.windows = make([]int, d.layers)
	d.ropes = make([]*rope, d.layers)
	if fam.rotary != nil && f.Err() == nil {
		d.rope = readRope(f, *fam.rotary, fam.rotary.width(f, d.dim), d.maxContext)
		d.maxContext = d.rope.maxContext
		for i := range d.ropes {
			d.ropes[i] = d.rope
		}
	}
	return &d
}

func noDim(key string) string {
	if key == "" {
		return ""
	}
	return ", and there is no " + key
}

// readSize reads a size of at most most; def is 0 where there must be a key.
func readSize(f *hf.Fields, keys string, def, most int64) int64 {
	if def == 0 {
		return f.Int(named(f, keys), 1, most)
	}
	return f.IntOr(named(f, keys), def, 1, most)
}

// readInner reads the width of the MLP; def is 0 where there must be a key.
func readInner(f *hf.Fields, key string, def int64) int {
	if def == 0 {
		return int(f.Int(key, 1, maxWidth))
	}
	return int(f.IntOr(key, def, 1, maxWidth))
}

// checkHeads wants heads that divide one another and fit.
func (d *decoder) checkHeads(f *hf.Fields, s *sizes) {
	if d.dim%2 != 0 {
		f.Fail(s.dim, "%d is odd; the rotary embedding turns pairs of channels", d.dim)
	}
	if d.kvHeads > 0 && d.heads%d.kvHeads != 0 {
		f.Fail(named(f, s.kvHeads), "%d does not divide %s %d", d.kvHeads, named(f, s.heads), d.heads)
	}
	if d.heads*d.dim > maxWidth {
		f.Fail(s.dim, "%d heads of %d channels are wider than %d", d.heads, d.dim, maxWidth)
	}
	if d.inner > maxWidth {
		f.Fail(named(f, s.inner), "%d is wider than %d", d.inner, maxWidth)
	}
}
