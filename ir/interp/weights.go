package interp

import (
	"fmt"

	"llmc/internal/dtype"
	"llmc/ir"
)

// Weights gives the checkpoint's tensors.
type Weights interface {
	// Tensor returns all elements of the tensor called name as f32, row-major as stored. The caller does not change them.
	Tensor(name string) ([]float32, error)
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
	data, err := Elements(w, m.source)
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
	data, once := make([]float32, 0, rows*cols), readOnce{source, map[string][]float32{}}
	for run := range w.Recipe.Runs(cols, 0, rows) {
		var err error
		if data, err = appendRun(data, run, cols, once); err != nil {
			return nil, err
		}
	}
	if w.Type.Quant != "" {
		return data, storedAs(data, w.Type.Quant, int(cols))
	}
	return data, round(data, w.Type.DType)
}

// readOnce keeps the tensors that a weight is made of until it is: the rows of two that alternate are many runs.
type readOnce struct {
	source Weights
	read   map[string][]float32
}

// Tensor implements Weights.
func (o readOnce) Tensor(name string) ([]float32, error) {
	if data, ok := o.read[name]; ok {
		return data, nil
	}
	data, err := o.source.Tensor(name)
	if err == nil {
		o.read[name] = data
	}
	return data, err
}

// appendRun adds the rows of one run.
func appendRun(data []float32, run ir.Run, cols int64, source Weights) ([]float32, error) {
	from, to := run.First*cols, (run.First+run.Rows)*cols
	switch run.Source.Kind {
	case ir.FromZeros:
		return append(data, make([]float32, to-from)...), nil
	case ir.FromValues:
		return append(data, run.Source.Values[from:to]...), nil
	}
	tensor, err := source.Tensor(run.Source.Tensor)
	if err != nil {
		return nil, err
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

// plain tells whether numbers of a type can be rounded to it one by one.
func plain(dt dtype.Type) bool { return rounders[dt] != nil }
