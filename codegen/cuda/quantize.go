package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// quantizeThreads work on one row.
const quantizeThreads = 256

// leastMaxAbs is where a row counts as zero, as in internal/quant.
const leastMaxAbs = 1e-30

// quantizer says how numbers become codes of a format.
type quantizer struct {
	most float64 // what the largest magnitude becomes
	// encode gives two codes, in 16 bits.
	encode func(e *entry, lo, hi ptx.Reg) ptx.Reg
}

// quantizers are indexed by the format of inputs.
var quantizers = map[string]quantizer{
	"e4m3t": {float64(dtype.E4M3Max), encodeE4M3},
	"e4m3g": {float64(dtype.E4M3Max), encodeE4M3},
	"s8t":   {127, encodeS8},
}

func encodeE4M3(e *entry, lo, hi ptx.Reg) ptx.Reg { return e.Cvt2(ptx.E4M3x2, lo, hi) }

// encodeS8 gives whole numbers from -127 on, which NaN becomes too.
func encodeS8(e *entry, lo, hi ptx.Reg) ptx.Reg {
	code := func(v ptx.Reg) ptx.Reg { return e.SatS8(ptx.Nearest, e.Max(v, -127.0)).As(ptx.B32) }
	return e.Cvt(ptx.U16, e.Permute(code(lo), code(hi), 0x0040).As(ptx.U32))
}

// scales is amax/most and its inverse, zeros where amax counts as zero.
func (q quantizer) scales(e *entry, amax ptx.Reg) (scale, inverse ptx.Reg) {
	small := e.Lt(amax, leastMaxAbs)
	return e.Select(small, 0.0, e.Div(amax, q.most)), e.Select(small, 0.0, e.Div(q.most, amax))
}

// quantize is y = code(x * (most/amax)) with the scale amax/most of each row or of each group of it, one CTA for a row: the same bits as those of
// internal/quant.
func quantize(e *entry) {
	columns, b := e.cols("x"), e.buffer("y")
	y, err := layout.NewActivation(b.Format, columns, int(b.Group))
	if err != nil {
		panic("cuda: " + err.Error()) // emit asked for the same
	}
	if y.Group > 0 {
		quantizeGroups(e, y)
		return
	}
	q := quantizers[y.Name]
	row := e.CtaX()
	x, out := e.row("x", row), e.row("y", row)

	e.Section("largest magnitude")
	most := e.Const(ptx.U32, 0)
	e.pairs(columns, func(i ptx.Reg) {
		for _, v := range e.load2("x", x, i) {
			e.Into(most).Max(most, e.magnitude(v))
		}
	})
	scale, inverse := q.scales(e, e.maxOfCTA(most).As(ptx.F32))
	e.When(e.Eq(e.TidX(), 0)).St(out.At(y.ScaleOffset()), scale)

	e.Section("codes")
	e.pairs(columns, func(i ptx.Reg) {
		v := e.load2("x", x, i)
		second := e.Mul(v[1], inverse)
		if columns%2 != 0 {
			second = e.Select(e.Lt(i, columns-1), second, 0.0)
		}
		e.St(e.Index(out, i, 1), q.encode(e, e.Mul(v[0], inverse), second))
	})
	from, to := (columns+1)/2*2, y.KPad()
	if from < to {
		i := e.Add(e.Shl(e.TidX(), 1), from)
		e.If(e.Lt(i, to), func() { e.St(e.Index(out, i, 1), e.Const(ptx.B16, 0)) })
	}
}

// quantizeGroups gives each group to a warp, whose lanes have pairs of neighbouring columns 64 apart. What lies behind the columns is zero.
func quantizeGroups(e *entry, y layout.Activation) {
	q, columns := quantizers[y.Name], e.cols("x")
	x, out := e.row("x", e.CtaX()), e.row("y", e.CtaX())
	groups := ceilDiv(columns, y.Group)
	e.For(ptx.Range{Name: "groups", From: e.Warp(), To: groups, Step: e.threads / 32}, func(g ptx.Reg) {
		first := e.Mad(g, y.Group, e.Shl(e.Lane(), 1))
		most := e.Const(ptx.U32, 0)
		var values [][2]ptx.Reg
		for at := 0; at < y.Group; at += 64 {
			column := e.Add(first, at)
			v := e.load2("x", x, e.Min(column, (columns-1)/2*2))
			for n := range v {
				v[n] = e.Select(e.Lt(column, columns-n), v[n], 0.0)
				e.Into(most).Max(most, e.magnitude(v[n]))
			}
			values = append(values, v)
		}
		scale, inverse := q.scales(e, e.Redux("max", most).As(ptx.F32))
		e.When(e.Eq(e.Lane(), 0)).St(e.Index(out, g, 4).At(y.ScaleOffset()), scale)
		for i, v := range values {
			column := e.Add(first, 64*i)
			codes := q.encode(e, e.Mul(v[0], inverse), e.Mul(v[1], inverse))
			e.If(e.Lt(column, y.KPad()), func() { e.St(e.Index(out, column, 1), codes) })
		}
	})
}

// magnitude is that of an f32 as its bits, which are compared as integers: NaN is the largest, and the order of comparisons does not matter.
func (e *entry) magnitude(v ptx.Reg) ptx.Reg { return e.And(v.As(ptx.U32), 0x7fffffff) }

// maxOfCTA is the largest of a number of every thread.
func (e *entry) maxOfCTA(x ptx.Reg) ptx.Reg {
	warps := e.threads / 32
	partials := e.Addr(e.Static("partials", 4*warps, 16))
	most := e.Redux("max", x)
	e.When(e.Eq(e.Lane(), 0)).St(e.Index(partials, e.Warp(), 4), most)
	e.Sync()
	total := e.Ld(ptx.U32, partials)
	for i := 1; i < warps; i++ {
		total = e.Max(total, e.Ld(ptx.U32, partials.At(4*i)))
	}
	return total
}
