package models

import (
	"fmt"

	"go.starlark.net/starlark"

	"llmc/ir"
)

// wrapped gives a weight to the file.
func (m *scriptModule) wrapped(v *ir.Value) (starlark.Value, error) {
	return &scriptValue{v, m}, m.in.Err()
}

// checkSizes keeps sizes in bounds before anything is computed with them.
func checkSizes(name string, sizes ...int) error {
	for _, n := range sizes {
		if n < 1 || n > maxWidth {
			return fmt.Errorf("%s: a size of %d; it must be 1 to %d", name, n, maxWidth)
		}
	}
	return nil
}

// shared are arguments of weights that are rows of a tensor: rows, a list of (start, count), of so many rows in all; part ends their name.
type shared struct {
	rows  *starlark.List
	of    int
	part  string
	split string // what tensor parallelism splits: "col" by outputs, "row" by inputs
}

func (s *shared) projection(name string, outputs, inputs int) (projection, error) {
	p := projection{what: s.part, axis: s.split, outputs: outputs, inputs: inputs, total: s.of}
	if s.split != "col" && s.split != "row" && s.split != "" {
		return p, fmt.Errorf("%s: split=%q; it must be col, row or empty", name, s.split)
	}
	if err := checkSizes(name, outputs, inputs); err != nil || s.rows == nil {
		return p, err
	}
	if s.part == "" || s.of < 1 {
		return p, fmt.Errorf("%s: rows of a tensor need part, which names them, and of, the number of its rows", name)
	}
	for i := range s.rows.Len() {
		pair, ok := s.rows.Index(i).(starlark.Tuple)
		if !ok || len(pair) != 2 {
			return p, fmt.Errorf("%s: rows[%d] is not (start, count)", name, i)
		}
		start, err := starlark.AsInt32(pair[0])
		if err != nil {
			return p, err
		}
		count, err := starlark.AsInt32(pair[1])
		if err != nil {
			return p, err
		}
		if start < 0 || count < 1 || start > s.of-count {
			return p, fmt.Errorf("%s: rows[%d] is (%d, %d) of %d", name, i, start, count, s.of)
		}
		p.rows = append(p.rows, span{start, count})
	}
	return p, nil
}

// matrix(name, outputs, inputs, split="col", transposed=False, rows=None, of=0, part="") is the tensor NAME.weight: [outputs, inputs], or the
// other way round where transposed, or rows of it.
func (m *scriptModule) matrix(c *call) (starlark.Value, error) {
	var name string
	var outputs, inputs int
	var transposed bool
	s := shared{split: "col"}
	err := c.unpack("name", &name, "outputs", &outputs, "inputs", &inputs, "split?", &s.split, "transposed?", &transposed, "rows?", &s.rows, "of?", &s.of, "part?", &s.part)
	if err != nil {
		return nil, err
	}
	p, err := s.projection(name, outputs, inputs)
	if err != nil {
		return nil, err
	}
	return m.wrapped(m.in.rowsOf(name, ".weight", &p, transposed))
}

// bias(name, outputs, split="col", rows=None, of=0, part="") is the tensor NAME.bias of a matrix that is split so.
func (m *scriptModule) bias(c *call) (starlark.Value, error) {
	var name string
	var outputs int
	s := shared{split: "col"}
	if err := c.unpack("name", &name, "outputs", &outputs, "split?", &s.split, "rows?", &s.rows, "of?", &s.of, "part?", &s.part); err != nil {
		return nil, err
	}
	p, err := s.projection(name, outputs, 1)
	if err != nil {
		return nil, err
	}
	return m.wrapped(m.in.rowsOf(name, ".bias", &p, false))
}

// vector(name, width, transform="") is the whole tensor of that name, which includes .weight or .bias here; transform "add1" adds one.
func (m *scriptModule) vector(c *call) (starlark.Value, error) {
	var name, transform string
	var width int
	if err := c.unpack("name", &name, "width", &width, "transform?", &transform); err != nil {
		return nil, err
	}
	if err := checkSizes(name, width); err != nil {
		return nil, err
	}
	if transform != "" {
		return m.wrapped(m.in.transformed(name, transform, width))
	}
	return m.wrapped(m.in.vector(name, width))
}

// table(name, count, width, skip=0) is the tensor of that name to be looked up in, without its first rows.
func (m *scriptModule) table(c *call) (starlark.Value, error) {
	var name string
	var width int
	var r learnedRows
	if err := c.unpack("name", &name, "count", &r.count, "width", &width, "skip?", &r.skip); err != nil {
		return nil, err
	}
	if err := checkSizes(name, r.count, width, r.skip+1); err != nil {
		return nil, err
	}
	return m.wrapped(m.in.skipped(name, r, width))
}

// constant(name, numbers) is a vector that the file has computed.
func (m *scriptModule) constant(c *call) (starlark.Value, error) {
	var name string
	var list *starlark.List
	if err := c.unpack("name", &name, "numbers", &list); err != nil {
		return nil, err
	}
	values := make([]float32, list.Len())
	for i := range values {
		x, ok := starlark.AsFloat(list.Index(i))
		if !ok {
			return nil, fmt.Errorf("%s: numbers[%d] is not a number", name, i)
		}
		values[i] = float32(x)
	}
	if err := checkSizes(name, len(values)); err != nil {
		return nil, err
	}
	return m.wrapped(m.in.Constant(name, values, len(values)))
}

// embeddings(table, head, vocab, hidden, tied=False) are two matrices, or one twice where a checkpoint has tied them.
func (m *scriptModule) embeddings(c *call) (starlark.Value, error) {
	var d decoder
	if err := c.unpack("table", &d.names.table, "head", &d.head, "vocab", &d.vocab, "hidden", &d.hidden, "tied?", &d.tied); err != nil {
		return nil, err
	}
	if err := checkSizes(d.names.table, d.vocab, d.hidden); err != nil {
		return nil, err
	}
	table, head := m.in.embeddings(&d)
	return starlark.Tuple{&scriptValue{table, m}, &scriptValue{head, m}}, m.in.Err()
}

// has(name) tells whether the checkpoint has a tensor.
func (m *scriptModule) has(c *call) (starlark.Value, error) {
	var name string
	if err := c.unpack("name", &name); err != nil {
		return nil, err
	}
	return starlark.Bool(m.in.has(name)), nil
}
