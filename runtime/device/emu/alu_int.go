package emu

import (
	"math/bits"
)

type integer interface {
	~uint16 | ~uint32 | ~uint64 | ~int16 | ~int32 | ~int64
}

func addLanes[T integer](d, a, b *vec) {
	m := typeMask[T]()
	for i := range d {
		d[i] = (a[i] + b[i]) & m
	}
}

func subLanes[T integer](d, a, b *vec) {
	m := typeMask[T]()
	for i := range d {
		d[i] = (a[i] - b[i]) & m
	}
}

func mulLanes[T integer](d, a, b *vec) {
	m := typeMask[T]()
	for i := range d {
		d[i] = a[i] * b[i] & m
	}
}

func madLanes[T integer](d, a, b, c *vec) {
	m := typeMask[T]()
	for i := range d {
		d[i] = (a[i]*b[i] + c[i]) & m
	}
}

// typeMask keeps the low bits of T.
func typeMask[T integer]() uint64 {
	var zero T
	switch any(zero).(type) {
	case uint16, int16:
		return 0xffff
	case uint32, int32:
		return 0xffffffff
	}
	return ^uint64(0)
}

func andLanes(d, a, b *vec) {
	for i := range d {
		d[i] = a[i] & b[i]
	}
}

func orLanes(d, a, b *vec) {
	for i := range d {
		d[i] = a[i] | b[i]
	}
}

func xorLanes(d, a, b *vec) {
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
}

// fold applies f in the arithmetic of T.
func fold[T integer](f func(a, b T) T) lanes2 {
	m := typeMask[T]()
	return func(d, a, b *vec) {
		for i := range d {
			d[i] = uint64(f(T(a[i]), T(b[i]))) & m
		}
	}
}

// perType holds one function for each integer type.
type perType[F any] struct{ u16, u32, u64, s16, s32, s64 F }

// find returns the entry of t; bits types count as unsigned.
func (p *perType[F]) find(t typ) (f F, ok bool) {
	if t.pack != 1 || t.float() {
		return f, false
	}
	switch {
	case t.bits == 16 && t.signed():
		return p.s16, true
	case t.bits == 32 && t.signed():
		return p.s32, true
	case t.bits == 64 && t.signed():
		return p.s64, true
	case t.bits == 16:
		return p.u16, true
	case t.bits == 32:
		return p.u32, true
	case t.bits == 64:
		return p.u64, true
	}
	return f, false
}

func foldAll(u16 func(a, b uint16) uint16, u32 func(a, b uint32) uint32, u64 func(a, b uint64) uint64,
	s16 func(a, b int16) int16, s32 func(a, b int32) int32, s64 func(a, b int64) int64) perType[lanes2] {
	return perType[lanes2]{fold(u16), fold(u32), fold(u64), fold(s16), fold(s32), fold(s64)}
}

func minOf[T integer](a, b T) T { return min(a, b) }
func maxOf[T integer](a, b T) T { return max(a, b) }

// divOf and remOf give the hardware's answers where PTX leaves the result open: all ones, and the dividend.
func divOf[T integer](a, b T) T {
	if b == 0 {
		return ^T(0)
	}
	return a / b
}

func remOf[T integer](a, b T) T {
	if b == 0 {
		return a
	}
	return a % b
}

// intBinary holds d = a op b with one type. Go's % and / truncate as PTX does, and the most negative number divided by -1 wraps.
var intBinary = map[string]perType[lanes2]{
	"add": {addLanes[uint16], addLanes[uint32], addLanes[uint64], addLanes[uint16], addLanes[uint32], addLanes[uint64]},
	"sub": {subLanes[uint16], subLanes[uint32], subLanes[uint64], subLanes[uint16], subLanes[uint32], subLanes[uint64]},
	"mul": {mulLanes[uint16], mulLanes[uint32], mulLanes[uint64], mulLanes[uint16], mulLanes[uint32], mulLanes[uint64]},
	"min": foldAll(minOf[uint16], minOf[uint32], minOf[uint64], minOf[int16], minOf[int32], minOf[int64]),
	"max": foldAll(maxOf[uint16], maxOf[uint32], maxOf[uint64], maxOf[int16], maxOf[int32], maxOf[int64]),
	"div": foldAll(divOf[uint16], divOf[uint32], divOf[uint64], divOf[int16], divOf[int32], divOf[int64]),
	"rem": foldAll(remOf[uint16], remOf[uint32], remOf[uint64], remOf[int16], remOf[int32], remOf[int64]),
}

// mulHigh is the upper half of the product.
func mulHigh(t typ, a, b uint64) uint64 {
	if t.bits == 64 {
		hi, _ := bits.Mul64(a, b)
		if t.signed() {
			hi -= uint64(int64(a)>>63)&b + uint64(int64(b)>>63)&a
		}
		return hi
	}
	return mulWide(t, a, b) >> t.bits & lowBits(t.bits)
}

// mulWide is the whole product of two numbers of up to 32 bits.
func mulWide(t typ, a, b uint64) uint64 {
	if t.signed() {
		return uint64(signExtend(a, t.bits)*signExtend(b, t.bits)) & lowBits(2*t.bits)
	}
	return a & lowBits(t.bits) * (b & lowBits(t.bits))
}

// madWide adds the whole product to a number of twice the bits; that of 32 bits computes addresses everywhere.
func madWide(t typ) lanes3 {
	switch {
	case t.bits == 32 && t.signed():
		return func(d, a, b, c *vec) {
			for i := range d {
				d[i] = uint64(int64(int32(a[i]))*int64(int32(b[i]))) + c[i]
			}
		}
	case t.bits == 32:
		return func(d, a, b, c *vec) {
			for i := range d {
				d[i] = uint64(uint32(a[i]))*uint64(uint32(b[i])) + c[i]
			}
		}
	}
	m := lowBits(2 * t.bits)
	return each3(func(a, b, c uint64) uint64 { return (mulWide(t, a, b) + c) & m })
}

// mul24 multiplies the low 24 bits; hi gives bits 16 to 47 of the product (PTX ISA, "mul24").
func mul24(t typ, high bool, a, b uint64) uint64 {
	p := int64(a&0xffffff) * int64(b&0xffffff)
	if t.signed() {
		p = signExtend(a, 24) * signExtend(b, 24)
	}
	if high {
		p >>= 16
	}
	return uint64(uint32(p))
}

func addSaturated(a, b uint64) uint64 { return clampS32(int64(int32(a)) + int64(int32(b))) }
func subSaturated(a, b uint64) uint64 { return clampS32(int64(int32(a)) - int64(int32(b))) }

func clampS32(v int64) uint64 {
	return uint64(uint32(int32(max(min(v, 1<<31-1), -1<<31))))
}

// packed16 applies a 16-bit operation to both halves.
func packed16(f lanes2) lanes2 {
	return func(d, a, b *vec) {
		var lowA, lowB, highA, highB vec
		for i := range a {
			lowA[i], highA[i] = a[i]&0xffff, a[i]>>16
			lowB[i], highB[i] = b[i]&0xffff, b[i]>>16
		}
		f(&lowA, &lowA, &lowB)
		f(&highA, &highA, &highB)
		for i := range d {
			d[i] = lowA[i] | highA[i]<<16
		}
	}
}
