package emu

import (
	"math"
	"sync"
)

// element reads matrix elements of one type out of 32-bit registers or memory.
type element struct {
	bits    int
	integer bool
	brain   bool
	value   func(v uint32) float64 // exact; integers of 8 bits too
}

var halfValues = sync.OnceValue(func() *[1 << 16]float64 {
	t := new([1 << 16]float64)
	for i := range t {
		t[i] = formatF16.value(uint64(i))
	}
	return t
})

func byteValues(f *format) *[256]float64 {
	t := new([256]float64)
	for i := range t {
		t[i] = f.value(uint64(i))
	}
	return t
}

// elementOf returns how to read a matrix operand type. Tensor cores ignore the low 13 bits of tf32 operands.
func elementOf(t typ) (element, bool) {
	switch {
	case t.kind == kFloat && t.bits == 16:
		table := halfValues()
		return element{16, false, false, func(v uint32) float64 { return table[uint16(v)] }}, true
	case t.kind == kBrain:
		return element{16, false, true, func(v uint32) float64 { return float64(math.Float32frombits(v << 16)) }}, true
	case t.kind == kTF32:
		return element{32, false, false, func(v uint32) float64 { return float64(math.Float32frombits(v &^ 0x1fff)) }}, true
	case t.kind == kE4M3, t.kind == kE5M2:
		f, _ := formatOf(t)
		table := byteValues(f)
		return element{8, false, false, func(v uint32) float64 { return table[uint8(v)] }}, true
	case t.bits == 8 && t.kind == kSigned:
		return element{8, true, false, func(v uint32) float64 { return float64(int8(v)) }}, true
	case t.bits == 8 && t.kind == kUnsigned:
		return element{8, true, false, func(v uint32) float64 { return float64(uint8(v)) }}, true
	}
	return element{}, false
}

// scatter puts the elements of registers to their places in m.
func (el *element) scatter(w *warp, regs []int32, places []uint16, m []float64) {
	if el.brain {
		for _, r := range regs {
			v := &w.regs[r]
			for lane := range v {
				m[places[2*lane]] = float64(math.Float32frombits(uint32(v[lane]) << 16))
				m[places[2*lane+1]] = float64(math.Float32frombits(uint32(v[lane]) &^ 0xffff))
			}
			places = places[2*warpSize:]
		}
		return
	}
	p := 32 / el.bits
	for _, r := range regs {
		v := &w.regs[r]
		for lane := range v {
			for e := range p {
				m[places[lane*p+e]] = el.value(uint32(v[lane]) >> (e * el.bits))
			}
		}
		places = places[p*warpSize:]
	}
}

// accumulator converts between registers and accumulator values. Sums are made in double precision and rounded once: hardware
// does not say in which order and with how many bits it adds, so kernels must not depend on more than this.
type accumulator struct {
	t         typ
	satfinite bool
}

func (a accumulator) perReg() int {
	return 32 / a.t.bits
}

func (a accumulator) load(v uint32) float64 {
	switch {
	case a.t.bits == 16:
		return formatF16.value(uint64(v & 0xffff))
	case a.t.kind == kSigned:
		return float64(int32(v))
	}
	return float64(math.Float32frombits(v))
}

func (a accumulator) store(x float64) uint32 {
	switch {
	case a.t.bits == 16:
		return uint32(formatF16.round(x, roundNearest, false))
	case a.t.kind == kSigned:
		if a.satfinite {
			x = max(min(x, math.MaxInt32), math.MinInt32)
		}
		return uint32(int64(x))
	}
	return uint32(single(float32(x), false))
}
