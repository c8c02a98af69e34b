package interp

import (
	"fmt"

	"llmc/ir"
)

// insert takes the rows that the batch brings where types say so.
func (c *call) insert() error {
	x, soft := c.arg("x"), c.arg("soft")
	y := newTensor(x.Rows, x.Cols)
	for m, kind := range c.arg("types").Index {
		switch kind {
		case 0:
			copy(y.Row(m), x.Row(m))
		case 1:
			copy(y.Row(m), soft.Row(m))
		default:
			return fmt.Errorf("row %d: type %d of 2", m, kind)
		}
	}
	c.give(y)
	return nil
}

// insertedAlone tells whether all that reads a parameter are ops that take rows of it by type.
func insertedAlone(f *ir.Func, p *ir.Value) bool {
	read := false
	for _, op := range f.Ops {
		for i, a := range op.Args {
			if a != p {
				continue
			}
			if op.Kind.Name != "insert" || op.Kind.Args[i].Name != "soft" {
				return false
			}
			read = true
		}
	}
	return read
}
