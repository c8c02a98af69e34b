package cuda

import (
	"llmc/codegen/ptx"
	"llmc/internal/dtype"
)

// kvCodes is how a warp writes rows of codes: the same bits as internal/quant's formats of KV caches, but where two scales lose the same to the last place.
type kvCodes struct {
	// code gives the code of a number times the inverse of its row's scale, in the lowest byte.
	code func(e *entry, x ptx.Reg) ptx.Reg
	// lost is what such a number loses, or its negative, where several scales are tried.
	lost func(e *entry, x ptx.Reg) ptx.Reg
	// word makes an octet of such numbers a word, of formats whose codes share bytes.
	word func(e *entry, x []ptx.Reg) ptx.Reg
}

var kvCodeWriters = map[dtype.Type]kvCodes{
	dtype.I8:     {code: func(e *entry, x ptx.Reg) ptx.Reg { return e.Add(e.SatS8(ptx.Nearest, x), 128) }},
	dtype.F8E4M3: {code: (*entry).roundE4M3, lost: (*entry).lostE4M3},
	dtype.U4:     {word: (*entry).wordU4, lost: (*entry).lostU4},
}

// storeCodes writes a row that a warp holds, as codes with their scale, where at says.
func (r *rope) storeCodes(all []channel, at func(then func(place kvPlace))) {
	writer := kvCodeWriters[r.e.kv().DType]
	if writer.word != nil || r.e.turnBlock() > 1 {
		all = r.octets(all)
		for first := 0; first < len(all); first += octet {
			r.e.turnOctet(values(all[first:][:octet]), r.lane)
		}
	}
	scale := r.codeScale(all, writer)
	inverse := r.inverse(scale)
	at(func(place kvPlace) {
		r.e.When(r.e.Eq(r.lane, 0)).St(place.scale, scale)
		if writer.word != nil {
			r.storeWords(all, place, writer, inverse)
			return
		}
		for _, c := range all {
			code := writer.code(r.e, r.e.Mul(c.value, inverse))
			at := r.e.Index(place.row, c.at, 1)
			r.only(c).St8(at, code)
		}
	})
}

// storeWords writes an octet of codes at a time. What lies behind the last channel of a row is nobody's.
func (r *rope) storeWords(all []channel, place kvPlace, writer kvCodes, inverse ptx.Reg) {
	for ; len(all) > 0; all = all[octet:] {
		var x []ptx.Reg
		for _, v := range values(all[:octet]) {
			x = append(x, r.e.Mul(v, inverse))
		}
		at := r.e.Index(place.row, r.e.Shr(all[0].at, 3), 4)
		r.only(all[0]).St(at, writer.word(r.e, x))
	}
}

// octets gives each lane neighbouring channels of a row of which the lanes of a warp have some: channels 8l to 8l+7, then those 256 further. They go through
// shared memory, where each warp has room for a row.
func (r *rope) octets(all []channel) (turned []channel) {
	e, dim := r.e, r.e.kv().Dim
	room := (dim + octet - 1) / octet * 4 * octet
	row := e.Mad(e.Warp(), room, e.Addr(e.Static("row", e.threads/32*room, 16)))
	e.SyncWarp() // lanes have read the row before
	for _, c := range all {
		r.only(c).St(e.Index(row, c.at, 4), c.value)
	}
	e.SyncWarp()
	for first := 0; first < dim; first += 32 * octet {
		turned = append(turned, r.octet(row, e.Mad(r.lane, octet, first), first+32*octet > dim)...)
	}
	return turned
}

// octet reads eight channels of a row from one on, which may be behind the last.
func (r *rope) octet(row, first ptx.Reg, bounded bool) (all []channel) {
	e, dim := r.e, r.e.kv().Dim
	from := e.Index(row, first, 4)
	for i := range octet {
		c := channel{at: e.Add(first, i), value: e.Const(ptx.F32, 0)}
		switch {
		case bounded && (i == 0 || dim%octet != 0):
			c.ok = e.Lt(c.at, dim)
		case bounded:
			c.ok = all[0].ok
		}
		all = append(all, c)
	}
	for i := 0; i < octet; i += 4 {
		if v := values(all[i : i+4]); dim%octet == 0 {
			r.only(all[0]).Into(v...).LdV(ptx.F32, 4, from.At(4*i))
			continue
		}
		for j, c := range all[i : i+4] {
			r.only(c).Into(c.value).Ld(ptx.F32, from.At(4*(i+j)))
		}
	}
	return all
}

// values are those of channels.
func values(all []channel) (v []ptx.Reg) {
	for _, c := range all {
		v = append(v, c.value)
	}
	return v
}

// codeScale is the scale of a row, in f16: of those that the format tries the first that loses least.
func (r *rope) codeScale(all []channel, writer kvCodes) (scale ptx.Reg) {
	format := r.e.kvFormat()
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
		lost := writer.lost(r.e, r.e.Mul(c.value, inverse))
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

// lostE4M3 compares magnitudes: the bits of a code's are those of a number of f16, 2^8 too small.
func (e *entry) lostE4M3(x ptx.Reg) ptx.Reg {
	half := e.Cvt(ptx.U16, e.Shl(e.And(e.roundE4M3(x), 0x7f), 7)).As(ptx.F16)
	return e.Sub(e.Mul(e.Cvt(ptx.F32, half), 0x1p8), e.magnitude(x).As(ptx.F32))
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
