package emu

import (
	"encoding/binary"
	"math"
)

// descriptor is a matrix descriptor of shared memory (PTX ISA, "Shared Memory Matrix Layout: Matrix Descriptor").
type descriptor struct {
	bits            uint64
	start           uint32 // byte address
	leading, stride uint32 // bytes
	swizzle         uint32 // bytes of a swizzled row: 128, 64, 32, or 0
}

var swizzleBytes = [4]uint32{0, 128, 64, 32}

// descriptor reads the descriptor in a register, which must be the same in all lanes.
func (w *warp) descriptor(r int32) (descriptor, bool) {
	v, same := w.uniform(r)
	if !same {
		w.fail(BadOperand, 0, "the matrix descriptor differs between lanes")
		return descriptor{}, false
	}
	if v>>49&7 != 0 {
		w.fail(BadOperand, 0, "matrix descriptor %#x: a base offset is not supported, align the matrix to its swizzle pattern", v)
		return descriptor{}, false
	}
	return descriptor{
		bits: v, start: uint32(v&0x3fff) << 4, leading: uint32(v>>16&0x3fff) << 4, stride: uint32(v>>32&0x3fff) << 4, swizzle: swizzleBytes[v>>62],
	}, true
}

// at is the address of the element whose index in the M or N dimension is row, for elements of size bytes (PTX ISA, "Strides" and
// "Swizzling modes"). A core matrix is 8 rows of 16 bytes.
//
// K-major, not swizzled: core matrices follow each other at leading along K and at stride along M or N. Swizzled: rows are as
// long as the swizzle and hold K; 8 rows make a group, groups follow at stride.
// MN-major, not swizzled: 8 k of 16 bytes of M or N make a core matrix; at stride along M or N, at leading along K. Swizzled:
// rows hold M or N and follow along K; at leading comes the next row length of M or N, at stride the next 8 k.
func (m *descriptor) at(row, k, size uint32, trans bool) uint32 {
	var off uint32
	switch {
	case !trans && m.swizzle == 0:
		kb := k * size
		off = row%8*16 + row/8*m.stride + kb/16*m.leading + kb%16
	case !trans:
		off = row%8*m.swizzle + row/8*m.stride + k*size
	case m.swizzle == 0:
		mb := row * size
		off = mb/16*m.stride + mb%16 + k%8*16 + k/8*m.leading
	default:
		mb := row * size
		off = mb%m.swizzle + mb/m.swizzle*m.leading + k%8*m.swizzle + k/8*m.stride
	}
	addr := m.start + off
	if m.swizzle != 0 { // bits 4.. are xored with bits 7.., as many as tell apart the 16-byte parts of a row
		addr ^= addr >> 3 & (m.swizzle - 16)
	}
	return addr
}

// wgEntry is the first warp's view of a wgmma, which the other three must share.
type wgEntry struct {
	pc   int
	a, b uint64
	seen int
}

// agree checks that the four warps of a warpgroup execute the same operations on the same descriptors.
func (w *warp) agree(op *wgmmaOp) bool {
	if w.cta.wgmmas == nil {
		w.cta.wgmmas = map[uint64]*wgEntry{}
	}
	key := uint64(w.index/4)<<32 | uint64(w.wg.serial)
	w.wg.serial++
	e := w.cta.wgmmas[key]
	if e == nil {
		e = &wgEntry{pc: op.pc, a: op.descA.bits, b: op.descB.bits}
		w.cta.wgmmas[key] = e
	}
	if e.pc != op.pc || e.a != op.descA.bits || e.b != op.descB.bits {
		w.fail(Divergence, 0, "the warps of the warpgroup disagree: another one is at line %d with descriptors %#x and %#x, this one has %#x and %#x",
			w.prog.code[e.pc].line, e.a, e.b, op.descA.bits, op.descB.bits)
		return false
	}
	if e.seen++; e.seen == 4 {
		delete(w.cta.wgmmas, key)
	}
	return true
}

// hold checks the shared memory that the operation reads and marks it as being read, or lets it go.
func (x *wgmma) hold(w *warp, op *wgmmaOp, on bool) bool {
	base := uint32(w.index % 4 * 16)
	if x.ra == nil && !w.holdMatrix(&op.descA, base, 16, x.k, x.a.bits/8, x.transA, on) {
		return false
	}
	return w.holdMatrix(&op.descB, 0, x.n, x.k, x.b.bits/8, x.transB, on)
}

func (w *warp) holdMatrix(m *descriptor, base uint32, rows, ks, size int, trans, on bool) bool {
	rowStep, kStep := 1, 16/size // elements of 16 contiguous bytes
	if trans {
		rowStep, kStep = 16/size, 1
	}
	for row := 0; row < rows; row += rowStep {
		for k := 0; k < ks; k += kStep {
			off := m.at(base+uint32(row), uint32(k), uint32(size), trans) - sharedBase
			if int(off) > len(w.cta.shared)-16 || off > uint32(len(w.cta.shared)) {
				w.failAddr(BadAddress, 0, uint64(off)+sharedBase, "the matrix of descriptor %#x leaves the %d bytes of shared memory", m.bits, len(w.cta.shared))
				return false
			}
			if on {
				if !w.noteShared(0, off, 16, accessKind{async: true}) {
					return false
				}
				w.cta.hold(off, 16, 1)
			} else {
				w.cta.hold(off, 16, -1)
			}
		}
	}
	return true
}

// readA takes operand A from registers at issue; the fragment is that of mma with 16 rows.
func (x *wgmma) readA(w *warp, op *wgmmaOp) {
	p := 32 / x.a.bits
	for r, reg := range x.ra {
		for lane := range warpSize {
			for e := range p {
				row, k := fragmentAt(lane, r, e, p, 16)
				op.a[row][k] = x.a.value(uint32(w.regs[reg][lane]) >> (e * x.a.bits))
			}
		}
	}
}

// landWgmma completes all groups but the last n.
func (w *warp) landWgmma(n uint32) signal {
	kept := w.wg.ops[:0]
	for _, op := range w.wg.ops {
		if op.group+n >= w.wg.group {
			kept = append(kept, op)
			continue
		}
		for _, r := range op.x.rd {
			if w.init[r] != 0 && w.wg.owed[r] > 0 {
				w.fail(AsyncHazard, 0, "accumulator %s was written while the wgmma of line %d was in flight", w.prog.regNames[r], w.prog.code[op.pc].line)
				return goOn
			}
		}
		op.x.hold(w, op, false)
		op.x.compute(w, op)
	}
	w.wg.ops = kept
	for r, owed := range w.wg.owed {
		if owed == 0 {
			w.init[r] = allLanes
			delete(w.wg.owed, r)
		}
	}
	w.cta.progress++
	return goOn
}

// compute writes the warp's 16 rows of D = A*B + D.
func (x *wgmma) compute(w *warp, op *wgmmaOp) {
	if x.ra == nil {
		for row := range op.a {
			x.loadRow(w, &op.descA, uint32(w.index%4*16+row), &x.a, x.transA, op.a[row][:x.k])
		}
	}
	if need := x.n * x.k; len(w.wg.b) < need {
		w.wg.b = make([]float64, need)
	}
	b := w.wg.b
	for col := range x.n {
		x.loadRow(w, &op.descB, uint32(col), &x.b, x.transB, b[col*x.k:][:x.k])
		w.wg.zero[col] = allZero(b[col*x.k:][:x.k])
	}
	var finite [16]bool
	for row := range finite {
		finite[row] = allFinite(op.a[row][:x.k])
	}
	neg := x.negA != x.negB
	n := x.d.perReg()
	for r, reg := range x.rd {
		w.wg.owed[reg]--
		d := &w.regs[reg]
		for lane := range d {
			old, out := uint32(d[lane]), uint64(0)
			for e := range n {
				row, col := accumulatorAt(lane, r*n+e, 16)
				sum := 0.0
				if !w.wg.zero[col] || !finite[row] {
					sum = dot(op.a[row][:x.k], b[col*x.k:][:x.k])
				}
				if neg {
					sum = -sum
				}
				if op.scaleD {
					sum += x.d.load(old >> (e * x.d.t.bits))
				}
				out |= uint64(x.d.store(sum)) << (e * x.d.t.bits)
			}
			d[lane] = out
		}
	}
}

// loadRow reads the elements of one row of A or column of B along K. Where K runs along memory, 16 bytes lie side by side.
func (x *wgmma) loadRow(w *warp, m *descriptor, row uint32, el *element, trans bool, out []float64) {
	size := uint32(el.bits / 8)
	side := 1
	if !trans {
		side = int(16 / size)
	}
	for k := 0; k < len(out); k += side {
		p := w.cta.shared[m.at(row, uint32(k), size, trans)-sharedBase:]
		for i := range out[k:][:side] {
			var v uint32
			switch size {
			case 1:
				v = uint32(p[i])
			case 2:
				v = uint32(binary.LittleEndian.Uint16(p[2*i:]))
			default:
				v = binary.LittleEndian.Uint32(p[4*i:])
			}
			if el.brain {
				out[k+i] = float64(math.Float32frombits(v << 16))
			} else {
				out[k+i] = el.value(v)
			}
		}
	}
}
