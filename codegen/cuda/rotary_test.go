package cuda_test

import (
	"fmt"
	"math"
	"testing"

	"llmc/engine"
)

// rotary is a rotary embedding as launches state it. Both modes that depend on the length change behind rotaryLimit.
type rotary struct {
	mode, style string
	dim         int // channels that turn
}

const (
	rotaryLimit  = 60
	rotaryBase   = 10000.0
	rotaryNTK    = 2.5
	rotaryFactor = 1.25
)

func (r rotary) attrs() []engine.Attr {
	return []engine.Attr{
		{Name: "rotary_dim", Int: int64(r.dim)}, {Name: "style", Text: r.style}, {Name: "factor", Float: rotaryFactor}, {Name: "mode", Text: r.mode},
		{Name: "original_max", Int: rotaryLimit}, {Name: "max_positions", Int: rotaryLimit}, {Name: "base", Float: rotaryBase},
		{Name: "ntk_factor", Float: rotaryNTK},
	}
}

// variants is the rows of the table of frequencies.
func (r rotary) variants() int {
	if r.mode == "longrope" {
		return 2
	}
	return 1
}

func (r rotary) table() (all []float32) {
	for v := range r.variants() {
		for i := range r.dim / 2 {
			all = append(all, float32(math.Pow(rotaryBase, -2*float64(i)/float64(r.dim))/(1+0.7*float64(v)+0.1*float64(v*i))))
		}
	}
	return all
}

// frequencies are those of a token whose sequence counts as that long.
func (r rotary) frequencies(length int32) []float32 {
	table := r.table()
	half := r.dim / 2
	switch {
	case r.mode == "longrope" && length > rotaryLimit:
		return table[half:]
	case r.mode == "dynamic" && length > rotaryLimit:
		d := float64(r.dim)
		base := rotaryBase * math.Pow(rotaryNTK*float64(length)/rotaryLimit-(rotaryNTK-1), d/(d-2))
		for i := range table {
			table[i] = float32(math.Pow(base, -2*float64(i)/d))
		}
	}
	return table[:half]
}

// turn rotates a head in place.
func (r rotary) turn(x []float64, position, length int32) {
	for i, f := range r.frequencies(length) {
		a, b := i, i+r.dim/2
		if r.style == "interleaved" {
			a, b = 2*i, 2*i+1
		}
		sin, cos := math.Sincos(float64(float32(position) * f))
		x[a], x[b] = rotaryFactor*(x[a]*cos-x[b]*sin), rotaryFactor*(x[b]*cos+x[a]*sin)
	}
}

// slack is how far an angle at a position may be off, in radians: frequencies that the kernel computes are off by some places of the last bit,
// more where they are far from the table's.
func (r rotary) slack(position, length int32) float64 {
	if r.mode != "dynamic" || length <= rotaryLimit {
		return 0
	}
	return float64(position) * math.Ldexp(1+math.Log2(float64(length)/rotaryLimit), -21)
}

// TestAttentionTurnsKeys wants the positions behind the limit to be told from those before: with the frequencies of short sequences the
// results are others.
func TestAttentionTurnsKeys(t *testing.T) {
	for _, mode := range []string{"longrope", "dynamic"} {
		t.Run(mode, func(t *testing.T) {
			c := shape{heads: 2, kv: 1, dim: 16, q: turnedShapes[0].q, y: turnedShapes[0].y, rotary: rotary{mode, "half", 16}}
			h := newHistory(c, 100, 1)
			row := newAttention(t, c, "sm80").step(16, chunk{h, 99, 100})[0]
			fixed := *h
			fixed.mode = "static"
			fixed.turned = func(k []float64, position, _ int32) { c.turn(k, position, 1) }
			off := 0.0
			for d, v := range fixed.attend(99, 0) {
				off = max(off, math.Abs(v-float64(row[d])))
			}
			if off < 0.05 {
				t.Errorf("results are those of short sequences, up to %v", off)
			}
		})
	}
}

func (r rotary) String() string {
	if r.mode == "" {
		return ""
	}
	return fmt.Sprintf("_%s_%s_%d", r.mode, r.style, r.dim)
}
