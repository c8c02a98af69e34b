package oci

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"path"
	"strings"

	"llmc/engine"
)

// Cut says how large layers are, in bytes. A layer ends where a section or a weight does, at places that follow from names and sizes alone: what a new version does
// not change has the layers that it had.
type Cut struct {
	Least, Most int64 // of weights; a larger weight is divided at multiples of Most
	Section     int64 // sections of fewer bytes share a layer with their neighbours
}

// DefaultCut keeps a layer small enough to be sent again, and manifests of large models to some thousand layers.
var DefaultCut = Cut{Least: 16 << 20, Most: 64 << 20, Section: 1 << 20}

// pace is how many weights a layer of at least Least bytes takes on, on average, before it ends: ends that depend on names meet again after a change.
const pace = 4

// span is a layer before its digest is known: bytes of a plan's file.
type span struct {
	offset, size int64
	kind, name   string // of its first section, or weight
	members      string // which parts have it, as bits: a layer belongs to a part as a whole or not at all
}

// spans divides the pieces of a whole plan. member tells which parts have a piece.
func (c Cut) spans(whole *engine.Part, member func(engine.Piece) string) []span {
	var spans []span
	for _, p := range whole.Pieces {
		who := member(p)
		if last := len(spans) - 1; last >= 0 && c.joins(&spans[last], p, who) {
			spans[last].size += p.Size
			continue
		}
		at, end := p.Source, p.Source+p.Size
		for p.Kind == engine.KindWeights && end-at > c.Most {
			spans = append(spans, span{at, c.Most, p.Kind, p.Name, who})
			at += c.Most
		}
		if end > at {
			spans = append(spans, span{at, end - at, p.Kind, p.Name, who})
		}
	}
	return spans
}

// joins tells whether a piece continues a layer.
func (c Cut) joins(s *span, p engine.Piece, who string) bool {
	switch {
	case s.members != who || (s.kind == engine.KindWeights) != (p.Kind == engine.KindWeights):
		return false
	case p.Kind != engine.KindWeights:
		return s.size < c.Section && p.Size < c.Section
	case s.size+p.Size > c.Most:
		return false
	case s.size < c.Least:
		return true
	}
	h := fnv.New32a()
	h.Write([]byte(p.Name))
	return h.Sum32()%pace != 0
}

// fileName is what other tools call a layer when they unpack it; in the order of these names the layers are the plan.
func fileName(i int, s *span) string {
	name := cmp.Or(s.kind, "head")
	if s.name != "" {
		name += "-" + path.Base(s.name)
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, name)
	return fmt.Sprintf("plan/%05d-%.80s", i, name)
}
