package interp

import (
	"fmt"

	"llmc/internal/dtype"
	"llmc/internal/rotation"
)

// executors gives each op of the table its meaning.
var executors = withActivations(map[string]func(*call) error{
	"gather":           (*call).gather,
	"gather_positions": (*call).gatherPositions,
	"gather_types":     func(c *call) error { return c.lookUp("types") },
	"pool":             (*call).pool,
	"soft":             func(c *call) error { c.give(columns(c.arg("soft"), 0, c.arg("soft").Cols)); return nil },
	"insert":           (*call).insert,
	"rmsnorm":          (*call).rmsnorm,
	"linear":           linear((*call).product),
	"rope":             (*call).rope,
	"scale":            func(c *call) error { return c.each("x", func(x float64) float64 { return x * c.op.Float("by") }) },
	"hadamard":         (*call).hadamard,
	"mul":              func(c *call) error { return c.pairs("a", "b", func(a, b float64) float64 { return a * b }) },
	"add":              func(c *call) error { return c.pairs("a", "b", func(a, b float64) float64 { return a + b }) },
	"swiglu":           (*call).swiGLU,
	"slice":            (*call).slice,
	"select_rows":      (*call).selectRows,
	"kv.write":         (*call).kvWrite,
	"attn.paged":       (*call).attention,
	"add_rmsnorm":      (*call).addRMSNorm,
	"layernorm":        (*call).layerNorm,
	"add_layernorm":    (*call).addLayerNorm,
	"linear_swiglu":    linearSwiGLU((*call).product),
	"linear_act":       (*call).linearAct,
	"rope_kv":          (*call).ropeKV,
	"cast":             (*call).cast,
	"quantize":         (*call).quantize,
	"columns":          (*call).columns,

	"linear_add":     (*call).linearAdd,
	"rope_turns":     (*call).ropeTurns,
	"linear_rope_kv": (*call).linearRopeKV,

	"scale_rows":        (*call).scaleRows,
	"scale_positions":   (*call).scalePositions,
	"moe.route":         (*call).route,
	"moe.dispatch":      (*call).dispatch,
	"moe.linear":        linear((*call).expertProduct),
	"moe.linear_swiglu": linearSwiGLU((*call).expertProduct),
	"moe.combine":       (*call).combine,

	"linear_heads": (*call).linearHeads,
	"latent.write": (*call).latentWrite,
	"attn.latent":  (*call).latentAttention,

	"own_columns":   (*call).ownColumns,
	"exchange":      (*call).exchange,
	"exchange_pair": (*call).exchange,

	"state.conv": (*call).stateConv,
	"state.scan": (*call).stateScan,
})

// each maps every element.
func (c *call) each(name string, f func(float64) float64) error {
	x := c.arg(name)
	y := newTensor(x.Rows, x.Cols)
	for i, v := range x.Data {
		y.Data[i] = float32(f(float64(v)))
	}
	c.give(y)
	return nil
}

// pairs maps every pair of elements.
func (c *call) pairs(a, b string, f func(a, b float64) float64) error {
	x, z := c.arg(a), c.arg(b)
	y := newTensor(x.Rows, x.Cols)
	for i, v := range x.Data {
		y.Data[i] = float32(f(float64(v), float64(z.Data[i])))
	}
	c.give(y)
	return nil
}

func (c *call) gather() error { return c.lookUp("ids") }

func (c *call) gatherPositions() error { return c.lookUp("positions") }

// lookUp gives the rows of the table that an operand names.
func (c *call) lookUp(index string) error {
	table, err := c.weight("table")
	if err != nil {
		return err
	}
	ids := c.arg(index)
	y := newTensor(ids.Rows, table.Cols)
	for m, id := range ids.Index {
		if id < 0 || int(id) >= table.Rows {
			return fmt.Errorf("token %d has row %d of a table of %d", m, id, table.Rows)
		}
		copy(y.Row(m), table.Row(int(id)))
	}
	c.give(y)
	return nil
}

func (c *call) selectRows() error {
	x, rows := c.arg("x"), c.arg("rows")
	y := newTensor(rows.Rows, x.Cols)
	for r, m := range rows.Index {
		if m < 0 || int(m) >= x.Rows {
			return fmt.Errorf("row %d of %d is asked for", m, x.Rows)
		}
		copy(y.Row(r), x.Row(int(m)))
	}
	c.give(y)
	return nil
}

// pool makes a row of those of each sequence.
func (c *call) pool() error {
	x, starts := c.arg("x"), c.arg("seq_start").Index
	y := newTensor(len(starts)-1, x.Cols)
	for b := range y.Rows {
		first, last := int(starts[b]), int(starts[b+1])-1
		if first < 0 || last < first || last >= x.Rows {
			return fmt.Errorf("sequence %d has rows %d to %d of %d", b, first, last, x.Rows)
		}
		switch c.op.Text("mode") {
		case "first":
			copy(y.Row(b), x.Row(first))
		case "last":
			copy(y.Row(b), x.Row(last))
		default:
			for j := range x.Cols {
				sum := 0.0
				for m := first; m <= last; m++ {
					sum += float64(x.Row(m)[j])
				}
				y.Row(b)[j] = float32(sum / float64(last-first+1))
			}
		}
	}
	c.give(y)
	return nil
}

func (c *call) slice() error {
	c.give(columns(c.arg("x"), c.int("start"), c.int("len")))
	return nil
}

func columns(x Tensor, start, n int) Tensor {
	y := newTensor(x.Rows, n)
	for m := range x.Rows {
		copy(y.Row(m), x.Row(m)[start:start+n])
	}
	return y
}

// rounders round to the nearest number of a narrower type, ties to even.
var rounders = map[dtype.Type]func(float32) float32{
	dtype.F32:  func(x float32) float32 { return x },
	dtype.BF16: func(x float32) float32 { return dtype.BF16ToF32(dtype.F32ToBF16(x)) },
	dtype.F16:  func(x float32) float32 { return dtype.F16ToF32(dtype.F32ToF16(x)) },
}

func round(values []float32, to dtype.Type) error {
	f := rounders[to]
	if f == nil {
		return fmt.Errorf("numbers cannot be rounded to %v", to)
	}
	for i, v := range values {
		values[i] = f(v)
	}
	return nil
}

// round rounds a result.
func (c *call) round(values []float32, to dtype.Type) error {
	if c.Exact {
		return nil
	}
	return round(values, to)
}

func (c *call) cast() error {
	x := c.arg("x")
	y := newTensor(x.Rows, x.Cols)
	copy(y.Data, x.Data)
	c.give(y)
	return c.round(y.Data, c.op.Result().Type.DType)
}

func (c *call) hadamard() error {
	matrix, err := rotation.Find(rotation.Plain(c.op.Int("block")))
	if err != nil {
		return err
	}
	x := c.arg("x")
	y := newTensor(x.Rows, x.Cols)
	copy(y.Data, x.Data)
	matrix.Rows(y.Data)
	c.give(y)
	return nil
}

func (c *call) columns() error {
	x := c.arg("x")
	order, err := c.weight("order")
	if err != nil {
		return err
	}
	y := newTensor(x.Rows, order.Cols)
	for j, at := range order.Data {
		k := int(at)
		if k < 0 || k >= x.Cols || float32(k) != at {
			return fmt.Errorf("column %v of %d", at, x.Cols)
		}
		for r := range x.Rows {
			y.Data[r*y.Cols+j] = x.Data[r*x.Cols+k]
		}
	}
	c.give(y)
	return nil
}
