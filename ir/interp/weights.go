package interp

import (
	"fmt"

	"llmc/internal/dtype"
	"llmc/internal/rotation"
	"llmc/ir"
)

// Weights gives the checkpoint's tensors.
type Weights interface {
	// Tensor returns all elements of the tensor called name as f32, row-major as stored. The caller does not change them.
	Tensor(name string) ([]float32, error)
}

// RotatedWeights are Weights that give turned matrices themselves.
type RotatedWeights interface {
	Weights
	// Rotated returns all elements of the matrix that a recipe of kind ir.Rotated takes rows of, for rows of cols elements. ok is false where the
	// matrix is to be made of the tensors.
	Rotated(r *ir.Recipe, cols int64) (data []float32, ok bool, err error)
}

// weight returns a weight operand as numbers: what its stored form stands for. A vector is one row, a stack of
// matrices the rows of all.
func (c *call) weight(name string) (Tensor, error) {
	w := c.op.Arg(name).Weight
	data, err := c.numbers(w)
	if err != nil {
		return Tensor{}, fmt.Errorf("weight %%%s: %w", w.Name, err)
	}
	if w.Type.Rank() == 1 {
		return Tensor{Rows: 1, Cols: len(data), Data: data}, nil
	}
	_, cols, _ := w.Type.Matrix()
	return Tensor{Rows: len(data) / int(cols), Cols: int(cols), Data: data}, nil
}

// numbers returns the elements of a weight, from those kept or anew.
func (m *Machine) numbers(w *ir.Weight) ([]float32, error) {
	if data, ok := m.kept[w]; ok {
		return data, nil
	}
	whole := w
	if w.Part != nil {
		whole = w.Whole(m.m.Cards)
	}
	data, err := Elements(whole, m.source)
	if err == nil && w.Part != nil {
		data, err = m.Card.partOf(w, m.m.Cards, data)
	}
	if err != nil {
		return nil, err
	}
	if size := int64(len(data)) * 4; size <= m.KeepBytes {
		m.KeepBytes -= size
		m.kept[w] = data
	}
	return data, nil
}

// Elements assembles a weight by its recipe and rounds it to what its type can hold.
func Elements(w *ir.Weight, source Weights) ([]float32, error) {
	rows, cols, _ := w.Type.Matrix()
	data, err := newReading(source).elements(w.Recipe, rows, cols)
	if err != nil {
		return nil, err
	}
	if w.Stored != "" {
		return data, nil // they are what its codes stand for
	}
	if w.Type.Quant != "" {
		return data, storedAs(data, w.Type.Quant, int(cols))
	}
	return data, round(data, w.Type.DType)
}

// reading keeps the tensors and the turned matrices that a weight is made of until it is: the rows of two that alternate are many runs.
type reading struct {
	source  Weights
	tensors map[string][]float32
	rotated map[string][]float32 // by the recipe of all rows
}

func newReading(source Weights) *reading {
	return &reading{source, map[string][]float32{}, map[string][]float32{}}
}

// elements assembles rows of cols elements.
func (r *reading) elements(recipe *ir.Recipe, rows, cols int64) ([]float32, error) {
	data := make([]float32, 0, rows*cols)
	for run := range recipe.Runs(cols, 0, rows) {
		var err error
		if data, err = r.appendRun(data, run, cols); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (r *reading) tensor(name string) ([]float32, error) {
	if data, ok := r.tensors[name]; ok {
		return data, nil
	}
	data, err := r.source.Tensor(name)
	if err == nil {
		r.tensors[name] = data
	}
	return data, err
}

// appendRun adds the rows of one run.
func (r *reading) appendRun(data []float32, run ir.Run, cols int64) ([]float32, error) {
	from, to := run.First*cols, (run.First+run.Rows)*cols
	switch run.Source.Kind {
	case ir.FromZeros:
		return append(data, make([]float32, to-from)...), nil
	case ir.FromValues:
		return append(data, run.Source.Values[from:to]...), nil
	case ir.Rotated:
		matrix, err := r.matrix(run.Source.Whole(cols), cols)
		if err != nil {
			return nil, err
		}
		return append(data, matrix[from:to]...), nil
	}
	tensor, err := r.tensor(run.Source.Tensor)
	if err != nil {
		return nil, err
	}
	if run.Source.Total != 0 {
		return appendColumns(data, tensor, run, cols)
	}
	have := int64(len(tensor)) / cols
	if to > int64(len(tensor)) || have*cols != int64(len(tensor)) {
		return nil, fmt.Errorf("tensor %q has %d elements, rows %d to %d of %d are asked for", run.Source.Tensor, len(tensor), run.First, run.First+run.Rows, cols)
	}
	start := len(data)
	if run.Source.Transpose {
		for r := run.First; r < run.First+run.Rows; r++ {
			for c := range cols {
				data = append(data, tensor[c*have+r])
			}
		}
	} else {
		data = append(data, tensor[from:to]...)
	}
	return data, ir.ApplyTransform(data[start:], run.Source.Transform)
}

// appendColumns adds rows of a transposed tensor of which only some columns are meant.
func appendColumns(data, tensor []float32, run ir.Run, cols int64) ([]float32, error) {
	s := run.Source
	have := int64(len(tensor)) / s.Total
	if run.First+run.Rows > have || s.Left+cols > s.Total {
		return nil, fmt.Errorf("tensor %q is [%d,%d], rows %d to %d and columns %d to %d of its transpose are asked for", s.Tensor, s.Total, have, run.First, run.First+run.Rows, s.Left, s.Left+cols)
	}
	start := len(data)
	for r := run.First; r < run.First+run.Rows; r++ {
		for c := s.Left; c < s.Left+cols; c++ {
			data = append(data, tensor[c*have+r])
		}
	}
	return data, ir.ApplyTransform(data[start:], s.Transform)
}

// matrix returns all rows of a turned matrix.
func (r *reading) matrix(whole *ir.Recipe, cols int64) ([]float32, error) {
	key := whole.String()
	if data, ok := r.rotated[key]; ok {
		return data, nil
	}
	if source, ok := r.source.(RotatedWeights); ok {
		data, known, err := source.Rotated(whole, cols)
		if err != nil || known {
			r.rotated[key] = data
			return data, err
		}
	}
	data, err := r.elements(whole.Parts[0], whole.Count, cols)
	if err != nil {
		return nil, err
	}
	if scale := whole.Scale(); scale != nil {
		factors, err := r.elements(scale, cols, 1)
		if err != nil {
			return nil, err
		}
		for i := range data {
			data[i] *= factors[int64(i)%cols]
		}
	}
	if scale := whole.RowScale(); scale != nil {
		for i := range data {
			data[i] *= scale.Values[int64(i)/cols]
		}
	}
	r.rotated[key] = data
	return data, turn(data, whole, int(cols))
}

// turn turns the rows of a matrix, then its columns.
func turn(data []float32, by *ir.Recipe, cols int) error {
	if by.In != "" {
		in, err := rotation.Find(by.In)
		if err != nil {
			return err
		}
		in.Rows(data)
	}
	if by.Out != "" {
		out, err := rotation.Find(by.Out)
		if err != nil {
			return err
		}
		out.Columns(data, cols, 0, cols)
	}
	return nil
}

// plain tells whether numbers of a type can be rounded to it one by one.
func plain(dt dtype.Type) bool { return rounders[dt] != nil }
