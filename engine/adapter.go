package engine

import (
	"fmt"
	"strings"

	"llmc/engine/layout"
)

// AdapterInfo is for plans that hold no model but an adapter that is served beside one: a product of two narrow matrices for each weight that it
// adapts, B * A, its scale in B. They are weights by that one's name and the suffixes below, row-major f32. Of a weight [N, K] and a rank R,
// A is [R/32 rounded up, K, 32] and B [N/32 rounded up, R, 32]: ranks of A and outputs of B in panels of 32, padded with zeros. Of a weight that was
// fused of several, R is the sum of their ranks; where the model was turned, A and B are too.
type AdapterInfo struct {
	Base string `msgpack:"base" json:"base"` // digest of the model's plan
	Rank int    `msgpack:"rank" json:"rank"` // the largest of the adapter as it was trained
}

// Suffixes of the weights of adapters.
const (
	AdapterDown = ".lora_a"
	AdapterUp   = ".lora_b"
)

// Bounds of adapters: ranks of one module, and modules that one weight may be fused of.
const (
	MaxAdapterRank   = 8192
	AdapterModules   = 4
	DefaultRankLimit = 64
	AdapterLanes     = layout.Lanes
)

// AdapterPanels is how many panels n ranks or outputs lie in.
func AdapterPanels(n int64) int64 { return (n + AdapterLanes - 1) / AdapterLanes }

func (a *AdapterInfo) check() error {
	if a.Rank < 1 || a.Rank > MaxAdapterRank {
		return fmt.Errorf("adapter of rank %d, outside 1 to %d", a.Rank, MaxAdapterRank)
	}
	return checkName(a.Base)
}

// AdapterPair is what an adapter plan holds for one weight.
type AdapterPair struct {
	Weight   string // of the model's plan
	K, N     int64  // N is rounded up to whole panels
	Rank     int64
	Down, Up []byte
}

// AdapterPairs returns what an adapter plan holds, in the order of the file; sizes fit each other, not yet those of the model.
func (p *Plan) AdapterPairs() ([]AdapterPair, error) {
	if p.info.Adapter == nil {
		return nil, fmt.Errorf("%s: is no adapter: make one with llmc build --adapter DIR --base PLAN", p.path)
	}
	var pairs []AdapterPair
	for i := range p.header.Weights {
		up := &p.header.Weights[i]
		name, ok := strings.CutSuffix(up.Name, AdapterUp)
		if !ok {
			continue
		}
		down := p.weights[name+AdapterDown]
		if down == nil {
			return nil, fmt.Errorf("%s: %w: weight %s is missing", p.path, ErrFormat, name+AdapterDown)
		}
		for _, w := range []*WeightEntry{down, up} {
			if w.Layout != "" || w.DType != "f32" || len(w.Shape) != 3 || w.Shape[2] != AdapterLanes {
				return nil, fmt.Errorf("%s: %w: weight %s is %s%s%v, not f32 in panels of %d", p.path, ErrFormat, w.Name, w.Layout, w.DType, w.Shape, AdapterLanes)
			}
		}
		pair := AdapterPair{Weight: name, K: down.Shape[1], N: up.Shape[0] * AdapterLanes, Rank: up.Shape[1]}
		if down.Shape[0] != AdapterPanels(pair.Rank) || pair.Rank > int64(p.info.Adapter.Rank)*AdapterModules {
			return nil, fmt.Errorf("%s: %w: weights %s of %v and %s of %v for an adapter of rank %d", p.path, ErrFormat, down.Name, down.Shape, up.Name, up.Shape, p.info.Adapter.Rank)
		}
		pair.Down, pair.Up = p.weightBytes(down), p.weightBytes(up)
		pairs = append(pairs, pair)
	}
	if len(pairs)*2 != len(p.header.Weights) {
		return nil, fmt.Errorf("%s: %w: %d weights, which are not pairs of %s and %s", p.path, ErrFormat, len(p.header.Weights), AdapterDown, AdapterUp)
	}
	return pairs, nil
}

// WithAdapter returns a model all of whose sequences have the adapter in a place of m.
func WithAdapter(m AdapterModel, place int) Model { return &adapted{m, int32(place)} }

type adapted struct {
	Model
	place int32
}

func (a *adapted) Step(step *Step, out []Sampled) error {
	step.Adapters = step.Adapters[:0]
	for range step.B() {
		step.Adapters = append(step.Adapters, a.place)
	}
	return a.Model.Step(step, out)
}
