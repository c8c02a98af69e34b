package cuda

import (
	"llmc/codegen/ptx"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// kvCodes is how a warp writes rows of codes: the same bits as internal/quant's formats of KV caches, but where two scales lose the same to the last place.
type kvCodes struct {
	// code gives the code of a number times the inverse of its row's scale, in the lowest byte.
	code func(e *entry, x ptx.Reg) ptx.Reg
	// level is the magnitude that a code stands for, where several scales are tried.
	level func(e *entry, code ptx.Reg) ptx.Reg
}

var kvCodeWriters = map[dtype.Type]kvCodes{
	dtype.I8:     {code: func(e *entry, x ptx.Reg) ptx.Reg { return e.Add(e.SatS8(ptx.Nearest, x), 128) }},
	dtype.F8E4M3: {(*entry).roundE4M3, (*entry).magnitudeE4M3},
}

// storeCodes writes a row that a warp holds, as codes with their scale, where at says.
func (r *rope) storeCodes(all []channel, at func(then func(place kvPlace))) {
	writer := kvCodeWriters[r.e.kv().DType]
	scale := r.codeScale(all, writer)
	inverse := r.inverse(scale)
	at(func(place kvPlace) {
		r.e.When(r.e.Eq(r.lane, 0)).St(place.scale, scale)
		for _, c := range all {
			code := writer.code(r.e, r.e.Mul(c.value, inverse))
			at := r.e.Index(place.row, c.at, 1)
			r.only(c).St8(at, code)
		}
	})
}

// codeScale is the scale of a row, in f16: of those that the format tries the first that loses least.
func (r *rope) codeScale(all []channel, writer kvCodes) (scale ptx.Reg) {
	format, err := quant.KVOf(r.e.kv().DType)
	if err != nil {
		panic("cuda: " + err.Error()) // Target was asked, which knows them
	}
	most := r.e.Const(ptx.U32, 0)
	for _, c := range all {
		r.e.Into(most).Max(most, r.e.magnitude(c.value)) // channels that a lane has not are zero
	}
	top := r.e.Div(r.e.Redux("max", most).As(ptx.F32), float64(format.Most))
	scale = r.e.Cvt(ptx.F16, top)
	if len(format.Tries) == 1 {
		return scale
	}
	least := r.loss(all, writer, scale)
	for _, try := range format.Tries[1:] {
		other := r.e.Cvt(ptx.F16, r.e.Mul(top, float64(try)))
		loss := r.loss(all, writer, other)
		better := r.e.Lt(loss, least)
		scale = r.e.Select(better, other, scale)
		least = r.e.Select(better, loss, least)
	}
	return scale
}

// loss is the sum of the squares of what a row loses with a scale.
func (r *rope) loss(all []channel, writer kvCodes, scale ptx.Reg) ptx.Reg {
	inverse, sum := r.inverse(scale), r.e.Const(ptx.F32, 0)
	for _, c := range all {
		x := r.e.Mul(c.value, inverse)
		lost := r.e.Sub(writer.level(r.e, writer.code(r.e, x)), r.e.magnitude(x).As(ptx.F32))
		if c.ok == (ptx.Reg{}) {
			r.e.Into(sum).Fma(lost, lost, sum)
		} else {
			r.e.When(c.ok).Into(sum).Fma(lost, lost, sum)
		}
	}
	wide := r.e.Cvt(ptx.F32, scale)
	return r.e.Mul(r.e.WarpReduce(sum, r.e.Add), r.e.Mul(wide, wide))
}

// inverse is what numbers are multiplied with to be in units of a scale.
func (r *rope) inverse(scale ptx.Reg) ptx.Reg {
	wide := r.e.Cvt(ptx.F32, scale)
	return r.e.Select(r.e.Eq(wide, 0.0), 0.0, r.e.Div(1.0, wide))
}

// magnitudeE4M3 is that of a code as f32: its bits are those of a number of f16, 2^8 too small.
func (e *entry) magnitudeE4M3(code ptx.Reg) ptx.Reg {
	half := e.Cvt(ptx.U16, e.Shl(e.And(code, 0x7f), 7)).As(ptx.F16)
	return e.Mul(e.Cvt(ptx.F32, half), 0x1p8)
}

// roundE4M3 rounds to e4m3 as dtype.F32ToE4M3 does, with integers where the target has no instruction for it. Only the magnitude of NaN is
// another one.
func (e *entry) roundE4M3(x ptx.Reg) ptx.Reg {
	if e.convertsE4M3 {
		return e.Cvt(ptx.U32, e.Cvt2(ptx.E4M3x2, x, e.Const(ptx.F32, 0)).As(ptx.U16))
	}
	const (
		sign     = 0x80
		most     = 0x7e       // code of the largest number
		shift    = 20         // bits of mantissa that f32 has more
		rebias   = 120 << 3   // what f32's exponent is larger by, as it lies in a code
		normal   = 0x3c800000 // f32 of 2^-6, the least normal number
		limit    = 0x43e00000 // f32 of the largest number
		halfStep = 1<<(shift-1) - 1
		magic    = 1 << 14 // added to a number below 2^-6, it rounds that to a multiple of 2^-9
	)
	bits := x.As(ptx.U32)
	u := e.Min(e.magnitude(x), limit)
	odd := e.And(e.Shr(u, shift), 1)
	large := e.Sub(e.Shr(e.Add(e.Add(u, halfStep), odd), shift), rebias)
	small := e.And(e.Add(u.As(ptx.F32), float64(magic)).As(ptx.U32), 0xff)
	code := e.Min(e.Select(e.Lt(u, normal), small, large), most)
	return e.Or(code, e.And(e.Shr(bits, 24), sign))
}
