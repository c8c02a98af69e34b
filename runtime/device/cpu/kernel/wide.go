package kernel

import (
	"unsafe"

	"llmc/engine/layout"
)

// Where there are rows to share the work, a panel is written in a form that multiplies faster before it is multiplied: u4n as u8 for VPDPBUSD; without that, codes
// that meet inputs of two digits as words (words.go), with the rows in the same form. Where nothing multiplies bf16, rows of it become f32 before, and panels as they are read.

// The kinds of kernels of wide panels and rows.
const (
	widePairs = iota // bf16 and rows of f32
	wideWords        // of both digits
	wideKinds
)

// widening is how products of many rows are prepared.
type widening struct {
	minRows int // fewer are multiplied as they are; 0: all are
	kernels *linearKernels
	layout  func(w *Matrix) layout.Linear                 // of panels
	panel   func(w *Matrix, dst, src []byte)              // writes a panel; nil: panels stay as they are
	part    func(w *Matrix, dst, panel []byte, lo, n int) // writes k [lo, lo+n) of a panel instead of all; lo is where a group begins: see words.go
	row     func(dst, src unsafe.Pointer, n int)          // writes the numbers of a row; nil: rows stay as they are
	bytes   int                                           // of a number of a row
}

// widenings are those of a set, by the kind of weights and the digits of rows.
type widenings [linearKinds][maxDigits + 1]widening

// widening returns how rows rows of digits digits are multiplied with w, nil for as they are, and the kernels.
func (s *Set) widening(w *Matrix, digits, rows int) (*widening, *linearKernels) {
	if v := &s.wide[w.kind][digits]; v.minRows > 0 && rows >= v.minRows {
		return v, v.kernels
	}
	return nil, &s.linear[w.kind][digits]
}

// panelOf is a panel that micro-kernels read.
type panelOf struct {
	l      layout.Linear
	data   []byte // from the panel on
	stored int    // bytes of a panel of the weight
}

// panel returns panel p of a weight, or what it is widened to; a worker has room for two of these.
func (s *Set) panel(sc *Scratch, w *Matrix, p, slot int, v *widening) panelOf {
	data := w.Data[p*w.panel:]
	if v == nil || v.panel == nil {
		return panelOf{w.Linear, data, w.panel}
	}
	l := v.layout(w)
	size := l.PanelBytes()
	grow(&sc.widePanels, 2*size)
	dst := sc.widePanels[slot*size:][:size]
	v.panel(w, dst, data)
	if w.ScaleBytes > 0 && !w.scaled {
		copy(dst[l.ScaleOffset(0):], data[w.ScaleOffset(0):][:layout.Lanes*w.ScaleBytes])
	}
	return panelOf{l, dst, w.panel}
}

// operand returns rows [first, first+rows) of x as the kernels read them.
func (s *Set) operand(sc *Scratch, w *Matrix, x *Rows, first, rows int, v *widening) *Rows {
	at := &sc.rows
	*at, sc.first = *x, first
	at.Data = x.Data[first*x.Stride:]
	sc.linear.sums = nil
	if v == nil {
		s.sumGroups(sc, w, at, rows)
		return at
	}
	if v.row == nil {
		return at
	}
	numbers, entries := x.KPad()*v.bytes, x.Entries()*layout.EntryBytes
	at.Stride = (numbers + entries + layout.Align - 1) &^ (layout.Align - 1)
	grow(&sc.wideRows, rows*at.Stride)
	for r := range rows {
		src, dst := x.Data[(first+r)*x.Stride:], sc.wideRows[r*at.Stride:]
		v.row(unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0]), x.KPad())
		copy(dst[numbers:], src[x.EntryOffset():][:entries])
	}
	at.Data = sc.wideRows
	return at
}

// rowBytes is the size of a row as the kernels read it.
func (v *widening) rowBytes(x *Rows) int {
	if v == nil || v.row == nil {
		return x.Stride
	}
	return x.KPad() * v.bytes
}

// SharesRows tells whether workers that share the rows of a product do it sooner than workers that share its panels: their results stay in their own caches
// for the next launch, and rows that are written anew are so once. Not where each of them would open panels, or expand them for tiles: that takes more of
// the time than making words or bytes of a panel does.
func (s *Set) SharesRows(w *Matrix, x *Rows, rows int) bool {
	if w.Opened() {
		return false
	}
	k := s.tileKernel(w, x, rows)
	return k == nil || k.expand == nil
}
