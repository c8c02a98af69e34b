package lora

import (
	"math"

	"llmc/compiler/hf"
	"llmc/internal/rotation"
	"llmc/ir"
)

// fill writes a module's ranks into down [rank, k] and up [n, rank] of its joint: with W = B A, turned and scaled weights are
// Out (B A) diag(scale) In, so that what is done to columns is done to A's and what is done to rows to B's.
func (m *matcher) fill(j *joint, p *part, down, up []float32) error {
	rank := p.pair.Down.Rows()
	a, err := read(p.pair.Down)
	if err != nil {
		return err
	}
	b, err := read(p.pair.Up)
	if err != nil {
		return err
	}
	for i := range b {
		b[i] *= p.pair.Scale
	}
	into := down[p.at*j.k:][:rank*j.k]
	for r := range rank {
		copy(into[r*j.k:(r+1)*j.k], a[r*p.pair.Down.Cols()+m.left(j, p):])
	}
	if p.turned == nil {
		m.place(j, p, j.recipe, b, up)
		return nil
	}
	for i := range into {
		if p.scale != nil {
			into[i] *= p.scale[int64(i)%j.k]
		}
	}
	if p.turned.In != "" {
		matrix, err := rotation.Find(p.turned.In)
		if err != nil {
			return err
		}
		matrix.Rows(into)
	}
	return m.turnRows(j, p, b, up)
}

// left is the first column of the module that the joint takes.
func (m *matcher) left(j *joint, p *part) (left int64) {
	eachTensor(j.recipe, func(leaf *ir.Recipe) {
		if m.names[leaf.Tensor] == p.pair {
			left = leaf.Left
		}
	})
	return left
}

// place copies rows of b, which tensors of the module have, to where the recipe's rows take them.
func (m *matcher) place(j *joint, p *part, recipe *ir.Recipe, b, up []float32) {
	rank := p.pair.Up.Cols()
	at := int64(0)
	for run := range recipe.Runs(j.k, 0, recipe.Rows(j.k)) {
		if run.Source.Kind == ir.FromTensor && m.names[run.Source.Tensor] == p.pair {
			for i := range run.Rows {
				copy(up[(at+i)*j.rank+p.at:][:rank], b[(run.First+i)*rank:])
			}
		}
		at += run.Rows
	}
}

// turnRows turns the rows of the matrix that the joint takes rows of, and copies these.
func (m *matcher) turnRows(j *joint, p *part, b, up []float32) error {
	rank, inner := p.pair.Up.Cols(), p.turned.Parts[0]
	whole := make([]float32, p.turned.Count*rank)
	alone := &joint{k: j.k, rank: rank}
	m.place(alone, &part{pair: p.pair}, inner, b, whole)
	if p.turned.Out != "" {
		matrix, err := rotation.Find(p.turned.Out)
		if err != nil {
			return err
		}
		matrix.Columns(whole, int(rank), 0, int(rank))
	}
	at := int64(0)
	for run := range j.recipe.Runs(j.k, 0, j.n) {
		if run.Source.Kind == ir.Rotated && run.Source.Whole(j.k).Equal(p.turned) {
			for i := range run.Rows {
				copy(up[(at+i)*j.rank+p.at:][:rank], whole[(run.First+i)*rank:])
			}
		}
		at += run.Rows
	}
	return nil
}

// read returns a matrix of an adapter, whose numbers must be finite.
func read(t *hf.Tensor) ([]float32, error) {
	x := make([]float32, t.Rows()*t.Cols())
	if err := t.ReadRows(x, 0, t.Rows()); err != nil {
		return nil, err
	}
	for i, v := range x {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, t.Errorf("element %d is %v, not a finite number", i, v)
		}
	}
	return x, nil
}
