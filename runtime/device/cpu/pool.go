package cpu

import (
	"errors"

	"llmc/runtime/device/cpu/kernel"
)

// pool makes one row of those of each sequence.
type pool struct {
	set  *kernel.Set
	x, y view
	row  func(p *pool, y []float32, first, end int) // of rows [first, end)
}

// poolings are the values of the attribute mode.
var poolings = map[string]func(p *pool, y []float32, first, end int){
	"mean":  (*pool).mean,
	"first": func(p *pool, y []float32, first, _ int) { copy(y, p.x.row(first)) },
	"last":  func(p *pool, y []float32, _, end int) { copy(y, p.x.row(end-1)) },
}

func bindPool(b *binding) (runner, error) {
	v, err := b.views("x", "y")
	if err != nil {
		return nil, err
	}
	p := &pool{set: b.m.set, x: v[0], y: v[1], row: poolings[b.launch.Text("mode", "")]}
	if p.x.cols != p.y.cols || p.row == nil {
		return nil, errors.New("rows of different lengths, or an unknown mode")
	}
	return p, nil
}

func (p *pool) run(s *state, worker int) {
	lo, hi := share(s.step.B(), worker, s.workers)
	for b := lo; b < hi; b++ {
		p.row(p, p.y.row(b), int(s.step.SeqStart[b]), int(s.step.SeqStart[b+1]))
	}
}

// mean adds rows in the order of positions.
func (p *pool) mean(y []float32, first, end int) {
	copy(y, p.x.row(first))
	for r := first + 1; r < end; r++ {
		p.set.Add(y, y, p.x.row(r))
	}
	p.set.Scale(y, y, 1/float32(end-first))
}
