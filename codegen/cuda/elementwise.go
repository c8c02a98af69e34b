package cuda

import (
	"math"
	"strings"

	"llmc/codegen/ptx"
	"llmc/engine/layout"
	"llmc/ir"
)

// rowThreads work on a row of an activation, two neighbouring columns each at a time.
const rowThreads = 128

// pairs calls each for the columns of a row, two at a time: i is the first of a pair, both its columns are below columns unless odd
// tells that the second is not. Threads take neighbouring pairs.
func (e *entry) pairs(columns int, each func(i ptx.Reg)) {
	first := e.Shl(e.TidX(), 1)
	e.For(ptx.Range{Name: "columns", From: first, To: columns, Step: 2 * e.threads}, each)
}

// load2 reads columns i and i+1 of a row as f32; rows are padded, so there is something to read behind the last column.
func (e *entry) load2(role string, row, i ptx.Reg) [2]ptx.Reg {
	if t, ok := e.pairType(role); ok {
		return e.widen(e.Ld(t, e.Index(row, i, 2)))
	}
	if e.cols(role)%2 != 0 {
		return [2]ptx.Reg{e.Ld(ptx.F32, e.Index(row, i, 4)), e.Ld(ptx.F32, e.Index(row, e.lastColumn(role, i), 4))}
	}
	v := e.LdV(ptx.F32, 2, e.Index(row, i, 4))
	return [2]ptx.Reg{v[0], v[1]}
}

// lastColumn is i+1, or the last column where that is behind it.
func (e *entry) lastColumn(role string, i ptx.Reg) ptx.Reg { return e.Min(e.Add(i, 1), e.cols(role)-1) }

// store2 writes columns i and i+1 of a row.
func (e *entry) store2(role string, row, i ptx.Reg, v [2]ptx.Reg) {
	if t, ok := e.pairType(role); ok {
		if e.cols(role)%2 != 0 {
			v[1] = e.Select(e.Lt(i, e.cols(role)-1), v[1], e.Const(ptx.F32, 0))
		}
		e.St(e.Index(row, i, 2), e.Cvt2(t, v[0], v[1]))
		return
	}
	if e.cols(role)%2 != 0 {
		e.St(e.Index(row, i, 4), v[0])
		e.When(e.Lt(i, e.cols(role)-1)).St(e.Index(row, e.Add(i, 1), 4), v[1])
		return
	}
	e.StV(e.Index(row, i, 4), v[:])
}

// widen gives the two numbers of a register as f32; of bf16 that is the low half shifted up, the high half in place.
func (e *entry) widen(pair ptx.Reg) [2]ptx.Reg {
	if pair.Type() == ptx.F16x2 {
		low, high := e.Unpack(ptx.F16, pair)
		return [2]ptx.Reg{e.Cvt(ptx.F32, low), e.Cvt(ptx.F32, high)}
	}
	word := pair.As(ptx.B32)
	return [2]ptx.Reg{e.Shl(word, 16).As(ptx.F32), e.And(word, 0xffff0000).As(ptx.F32)}
}

// pad writes the zeros behind the columns of a row of bf16 or f16, up to the multiple of 64 that products read.
func (e *entry) pad(role string, row ptx.Reg) {
	columns := e.cols(role)
	from, to := (columns+1)/2*2, (columns+63)/64*64
	if _, ok := e.pairType(role); !ok || from == to {
		return
	}
	zero := e.Const(ptx.B32, 0)
	i := e.Add(e.Shl(e.TidX(), 1), from)
	e.If(e.Lt(i, to), func() { e.St(e.Index(row, i, 2), zero) })
}

// padBF16 writes the zeros behind the columns of a row of bf16 as pad does, an element a lane.
func (e *entry) padBF16(role string, row, lane ptx.Reg) {
	columns := e.cols(role)
	zero := e.Const(ptx.B16, 0)
	for from := columns; from < (columns+63)/64*64; from += 32 {
		i := e.Add(lane, from)
		at := e.Index(row, i, 2)
		e.When(e.Lt(i, (columns+63)/64*64)).St(at, zero)
	}
}

// hasMaxima tells whether rows of a role have the largest magnitude of every eight columns behind them.
func (e *entry) hasMaxima(role string) bool { return e.buffer(role).Format == ir.MaximaFormat }

// maximaOffset is where they lie in a row.
func (e *entry) maximaOffset(role string) int {
	a, err := layout.NewActivation(e.buffer(role).Format, e.cols(role), 0)
	if err != nil {
		panic("cuda: " + err.Error()) // emit asked for the same
	}
	return a.MaximaOffset()
}

// partMaximum writes the largest magnitude of part number part of a row, whose columns the CTA wrote before its last barrier.
func (e *entry) partMaximum(role string, row, part ptx.Reg) {
	columns, most := e.Index(row, part, 4*layout.MaximaColumns), e.Const(ptx.U32, 0)
	for at := 0; at < layout.MaximaColumns; at += 4 {
		for _, v := range e.LdV(ptx.B32, 4, columns.At(4*at)) {
			most = e.Max(most, e.magnitude(v))
		}
	}
	e.St(e.Index(row, part, 4).At(e.maximaOffset(role)), most)
}

// formula is an element-wise kernel: what the columns of the result are of those of the operands.
type formula struct {
	args []string
	f    func(e *entry, v []ptx.Reg) ptx.Reg
}

// formulas lists those that are not activations.
var formulas = map[string]formula{
	"cuda.cast": {[]string{"x"}, func(e *entry, v []ptx.Reg) ptx.Reg { return v[0] }},
	"cuda.softcap": {[]string{"x"}, func(e *entry, v []ptx.Reg) ptx.Reg {
		by := e.launch.Float("by", 1)
		return e.Mul(e.tanh(e.Div(v[0], by)), by)
	}},
	"cuda.scale":  {[]string{"x"}, func(e *entry, v []ptx.Reg) ptx.Reg { return e.Mul(v[0], e.launch.Float("by", 1)) }},
	"cuda.add":    {[]string{"a", "b"}, func(e *entry, v []ptx.Reg) ptx.Reg { return e.Add(v[0], v[1]) }},
	"cuda.mul":    {[]string{"a", "b"}, func(e *entry, v []ptx.Reg) ptx.Reg { return e.Mul(v[0], v[1]) }},
	"cuda.swiglu": {[]string{"gate", "up"}, func(e *entry, v []ptx.Reg) ptx.Reg { return e.gate(v[0], v[1]) }},
}

// formulaOf is a kernel's row, which activations that are kernels of their own have by their name.
func formulaOf(kernel string) formula {
	if f, ok := formulas[kernel]; ok {
		return f
	}
	act := activations[strings.TrimPrefix(kernel, "cuda.")]
	return formula{[]string{"x"}, func(e *entry, v []ptx.Reg) ptx.Reg { return act(e, v[0]) }}
}

// elementwise is one CTA for each row; a thread has pairs of neighbouring columns.
func elementwise(e *entry) {
	formula := formulaOf(e.launch.Kernel)
	row := e.CtaX()
	out := e.row("y", row)
	var in []ptx.Reg
	for _, role := range formula.args {
		in = append(in, e.row(role, row))
	}
	e.pairs(e.cols("y"), func(i ptx.Reg) {
		var left, right []ptx.Reg
		for n, role := range formula.args {
			v := e.load2(role, in[n], i)
			left, right = append(left, v[0]), append(right, v[1])
		}
		e.store2("y", out, i, [2]ptx.Reg{formula.f(e, left), formula.f(e, right)})
	})
	e.pad("y", out)
}

// columns is y[m] = x[m] in the order of a weight, which nobody has checked when it comes to a device: indices beyond a row take its last column.
func columns(e *entry) {
	row := e.CtaX()
	in, out := e.row("x", row), e.row("y", row)
	at := func(i ptx.Reg) ptx.Reg {
		column := e.Cvt(ptx.U32, e.Ld(ptx.F32, e.Index(e.pointers["order"], i, 4)))
		return e.Ld(ptx.F32, e.Index(in, e.Min(column, e.cols("x")-1), 4))
	}
	e.pairs(e.cols("y"), func(i ptx.Reg) { e.store2("y", out, i, [2]ptx.Reg{at(i), at(e.lastColumn("y", i))}) })
}

// soft is y[m] = the row that the step brings, whose rows lie one behind the other.
func soft(e *entry) {
	row := e.CtaX()
	in, out := e.Index(e.pointers["soft"], row, 4*e.cols("y")), e.row("y", row)
	at := func(i ptx.Reg) ptx.Reg { return e.Ld(ptx.F32, e.Index(in, i, 4)) }
	e.pairs(e.cols("y"), func(i ptx.Reg) { e.store2("y", out, i, [2]ptx.Reg{at(i), at(e.lastColumn("y", i))}) })
}

// insert is y[m] = soft[m] where types[m] is 1, else x[m], one CTA for each row: what a step brings in place of rows of tokens. Rows that it does not bring are
// not read, and may hold anything.
//
//	x:     | token | token | token | token |        soft:  |  ?  | row 0 | row 1 |  ?  |
//	types: |   0   |   1   |   1   |   0   |  ->  y:       | token | row 0 | row 1 | token |
func insert(e *entry) {
	row := e.CtaX()
	brought := e.Eq(e.Ld(ptx.U32, e.Index(e.pointers["types"], row, 4)), 1)
	in := e.Select(brought, e.Index(e.pointers["soft"], row, 4*e.cols("y")), e.row("x", row))
	out := e.row("y", row)
	at := func(i ptx.Reg) ptx.Reg { return e.Ld(ptx.F32, e.Index(in, i, 4)) }
	e.pairs(e.cols("y"), func(i ptx.Reg) { e.store2("y", out, i, [2]ptx.Reg{at(i), at(e.lastColumn("y", i))}) })
}

// scalePositions is y[m] = x[m] * (1 + by*log(1 + (positions[m]+1)/every)), one CTA for each row.
func scalePositions(e *entry) {
	row := e.CtaX()
	position := e.Ld(ptx.U32, e.Index(e.pointers["positions"], row, 4))
	steps := e.Cvt(ptx.F32, e.Div(e.Add(position, 1), int(e.launch.Int("every", 1))))
	by := e.Fma(e.Lg2(e.Add(steps, 1.0)), e.launch.Float("by", 0)*math.Ln2, 1.0)
	in, out := e.row("x", row), e.row("y", row)
	e.pairs(e.cols("y"), func(i ptx.Reg) {
		v := e.load2("x", in, i)
		e.store2("y", out, i, [2]ptx.Reg{e.Mul(v[0], by), e.Mul(v[1], by)})
	})
}

// selectRows copies the rows that are sampled, one CTA each.
func selectRows(e *entry) {
	to := e.CtaX()
	from := e.Ld(ptx.U32, e.Index(e.pointers["rows"], to, 4))
	in, out := e.row("x", from), e.row("y", to)
	e.pairs(e.cols("y"), func(i ptx.Reg) { e.store2("y", out, i, e.load2("x", in, i)) })
}
