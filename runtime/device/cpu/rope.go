package cpu

import (
	"fmt"
	"math"

	"llmc/engine"
	"llmc/runtime/device/cpu/kernel"
)

// ropeSpec says how positions become angles; see the rope attributes in docs/ops.md.
type ropeSpec struct {
	style        kernel.RopeStyle
	half         int // pairs of channels that turn
	factor       float64
	mode         string
	originalMax  int32
	maxPositions int32
	base         float64
	ntkFactor    float64
	weight       int // operand index of inv_freq, part of the key under which tables are shared
}

var ropeStyles = map[string]kernel.RopeStyle{"half": kernel.RopeHalf, "interleaved": kernel.RopeInterleaved}

func ropeSpecOf(l *engine.Launch, dim, weight int) (ropeSpec, error) {
	style, ok := ropeStyles[l.Text("style", "half")]
	if !ok {
		return ropeSpec{}, fmt.Errorf("unknown rope style %q", l.Text("style", ""))
	}
	rotary := int(l.Int("rotary_dim", 0))
	if rotary == 0 {
		rotary = dim
	}
	spec := ropeSpec{
		style: style, half: rotary / 2, factor: l.Float("factor", 1), mode: l.Text("mode", "static"), weight: weight,
		originalMax: int32(l.Int("original_max", 0)), maxPositions: int32(l.Int("max_positions", 0)),
		base: l.Float("base", 0), ntkFactor: l.Float("ntk_factor", 0),
	}
	if rotary > dim || rotary%2 != 0 {
		return spec, fmt.Errorf("rotary_dim %d of heads of %d", rotary, dim)
	}
	return spec, nil
}

// frequencies returns the inverse frequencies for a rope length. scratch has room for them.
func (r *ropeSpec) frequencies(invFreq []float32, ropeLen int32, scratch []float32) []float32 {
	switch {
	case r.mode == "longrope" && ropeLen > r.originalMax:
		return invFreq[r.half : 2*r.half]
	case r.mode == "dynamic" && ropeLen > r.maxPositions:
		// "NTK-aware" scaling: the base grows with the length.
		rotary := float64(2 * r.half)
		grown := r.ntkFactor*float64(ropeLen)/float64(r.maxPositions) - (r.ntkFactor - 1)
		base := r.base * math.Pow(grown, rotary/(rotary-2))
		for i := range scratch[:r.half] {
			scratch[i] = float32(1 / math.Pow(base, float64(2*i)/rotary))
		}
		return scratch[:r.half]
	}
	return invFreq[:r.half]
}

// regime tells lengths apart that have different frequencies.
func (r *ropeSpec) regime(ropeLen int32) int32 {
	switch {
	case r.mode == "longrope" && ropeLen > r.originalMax:
		return 1
	case r.mode == "dynamic" && ropeLen > r.maxPositions:
		return ropeLen
	}
	return 0
}

// turn writes cosines and sines of a position. The angle is rounded to float32 as the checkpoints' own software does.
func (r *ropeSpec) turn(cos, sin, freq []float32, position int32) {
	for i, f := range freq {
		s, c := math.Sincos(float64(float32(position) * f))
		cos[i], sin[i] = float32(c*r.factor), float32(s*r.factor)
	}
}

// ropeTable holds cosines and sines of the tokens of a step. Layers with the same spec share one; it is filled when a step begins.
type ropeTable struct {
	spec     ropeSpec
	invFreq  []float32
	cos, sin []float32 // [MaxStepTokens, half]
	scratch  [][]float32
}

// ropeOf returns the table for a launch that turns heads of dim.
func (b *binding) ropeOf(dim int) (*ropeTable, error) {
	spec, err := ropeSpecOf(b.launch, dim, b.operand("inv_freq").Index)
	if err != nil {
		return nil, err
	}
	for _, t := range b.f.ropes {
		if t.spec == spec {
			return t, nil
		}
	}
	t := &ropeTable{spec: spec}
	if t.invFreq, err = b.vector("inv_freq"); err != nil {
		return nil, err
	}
	variants := 1
	if spec.mode == "longrope" {
		variants = 2
	}
	if len(t.invFreq) < variants*spec.half {
		return nil, fmt.Errorf("inverse frequencies: %d, the launch needs %d", len(t.invFreq), variants*spec.half)
	}
	t.cos = make([]float32, b.m.settings.MaxStepTokens*spec.half)
	t.sin = make([]float32, len(t.cos))
	t.scratch = make([][]float32, b.m.settings.Threads)
	for i := range t.scratch {
		t.scratch[i] = make([]float32, spec.half)
	}
	b.f.ropes = append(b.f.ropes, t)
	return t, nil
}

func (t *ropeTable) run(s *state, worker int) {
	lo, hi := share(s.step.T(), worker, s.workers)
	for i := lo; i < hi; i++ {
		cos, sin := t.row(i)
		freq := t.spec.frequencies(t.invFreq, s.step.RopeLen[i], t.scratch[worker])
		t.spec.turn(cos, sin, freq, s.step.Positions[i])
	}
}

// row returns cosines and sines of token i of the step.
func (t *ropeTable) row(i int) (cos, sin []float32) {
	n := t.spec.half
	return t.cos[i*n : (i+1)*n], t.sin[i*n : (i+1)*n]
}

// rope turns every head of x.
type rope struct {
	set   *kernel.Set
	x, y  view
	dim   int
	table *ropeTable
}

func bindRope(b *binding) (runner, error) {
	v, err := b.views("x", "y")
	if err != nil {
		return nil, err
	}
	dim := int(b.launch.Int("dim", 0))
	if dim < 1 || v[0].cols%dim != 0 || v[0].cols != v[1].cols {
		return nil, fmt.Errorf("rows of %d and %d with heads of %d", v[0].cols, v[1].cols, dim)
	}
	table, err := b.ropeOf(dim)
	return &rope{b.m.set, v[0], v[1], dim, table}, err
}

func (r *rope) run(s *state, worker int) {
	lo, hi := share(s.step.T(), worker, s.workers)
	for t := lo; t < hi; t++ {
		y := r.y.row(t)
		copy(y, r.x.row(t))
		cos, sin := r.table.row(t)
		r.set.Rope(r.table.spec.style, y, r.dim, cos, sin)
	}
}
