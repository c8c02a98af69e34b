package cuda

import (
	"llmc/codegen/ptx"
	"llmc/internal/dtype"
)

// kvCodes is how a warp writes rows of codes: the same bits as internal/quant's formats of KV caches.
type kvCodes struct {
	most float64 // what the largest magnitude of a row becomes
	// code gives the code of a number times the inverse of its row's scale, in the lowest byte.
	code func(e *entry, x ptx.Reg) ptx.Reg
}

var kvCodeWriters = map[dtype.Type]kvCodes{
	dtype.I8:     {127, func(e *entry, x ptx.Reg) ptx.Reg { return e.Add(e.SatS8(ptx.Nearest, x), 128) }},
	dtype.F8E4M3: {dtype.E4M3Max, (*entry).roundE4M3},
}

// storeCodes writes a row that a warp holds, as codes with their scale, where at says.
func (r *rope) storeCodes(all []channel, at func(then func(place kvPlace))) {
	writer := kvCodeWriters[r.e.kv().DType]
	most := r.e.Const(ptx.U32, 0)
	for _, c := range all {
		r.e.Into(most).Max(most, r.e.magnitude(c.value)) // channels that a lane has not are zero
	}
	amax := r.e.Redux("max", most).As(ptx.F32)
	scale := r.e.Cvt(ptx.F16, r.e.Div(amax, writer.most))
	wide := r.e.Cvt(ptx.F32, scale)
	inverse := r.e.Select(r.e.Eq(wide, 0.0), 0.0, r.e.Div(1.0, wide))
	at(func(place kvPlace) {
		r.e.When(r.e.Eq(r.lane, 0)).St(place.scale, scale)
		for _, c := range all {
			code := writer.code(r.e, r.e.Mul(c.value, inverse))
			at := r.e.Index(place.row, c.at, 1)
			r.only(c).St8(at, code)
		}
	})
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
