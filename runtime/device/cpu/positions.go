package cpu

import (
	"errors"
	"math"

	"llmc/runtime/device/cpu/kernel"
)

// scalePositions multiplies rows by what grows with the logarithm of their token's position.
type scalePositions struct {
	set   *kernel.Set
	x, y  view
	by    float64
	every int64 // positions for which the factor stays the same
}

func bindScalePositions(b *binding) (runner, error) {
	v, err := b.views("x", "y")
	if err != nil {
		return nil, err
	}
	p := &scalePositions{b.m.set, v[0], v[1], b.launch.Float("by", 0), b.launch.Int("every", 1)}
	if p.x.cols != p.y.cols || p.every < 1 {
		return nil, errors.New("rows of different widths, or a factor for no positions")
	}
	return p, nil
}

func (p *scalePositions) run(s *state, worker int) {
	lo, hi := share(s.step.T(), worker, s.workers)
	for t := lo; t < hi; t++ {
		steps := (int64(s.step.Positions[t]) + 1) / p.every
		p.set.Scale(p.y.row(t), p.x.row(t), float32(1+float64(p.by*math.Log1p(float64(steps)))))
	}
}
