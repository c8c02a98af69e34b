package emu

import "encoding/binary"

// decodeMatrixMove decodes ldmatrix and stmatrix (PTX ISA, "ldmatrix" and "stmatrix"): 8x8 matrices of 16-bit elements whose rows
// of 16 bytes lie anywhere. Lanes 8i to 8i+7 give the row addresses of matrix i; lane l holds elements 2(l%4) and 2(l%4)+1 of row
// l/4, or with .trans of column l/4.
func decodeMatrixMove(d *decoder) {
	n := 0
	for _, m := range d.in.Mods {
		switch m {
		case "x1":
			n = 1
		case "x2":
			n = 2
		case "x4":
			n = 4
		}
	}
	if n == 0 || !hasMod(d.in, "m8n8") || !hasMod(d.in, "b16") {
		d.unsupported("only .m8n8 of .b16, .x1, .x2 or .x4")
		return
	}
	if !d.nargs(2, 2) {
		return
	}
	load := d.in.Op == "ldmatrix"
	addr, value := &d.in.Args[1], &d.in.Args[0]
	if !load {
		addr, value = value, addr
	}
	sp, base, off := d.address(addr, spaceOf(d.in))
	list := d.elements(value)
	if len(list) != n {
		d.errorf(d.in.Pos, "%s: %d registers for %d matrices", d.in.Name(), len(list), n)
		return
	}
	x := &matrixMove{space: sp, base: base, off: off, trans: hasMod(d.in, "trans")}
	for i := range list {
		if load {
			x.regs = append(x.regs, d.dst(&list[i], typeB32))
		} else {
			x.regs = append(x.regs, d.src(&list[i], typeB32))
		}
	}
	if load {
		d.fullWarp(x.load, ClassLoad)
	} else {
		d.fullWarp(x.store, ClassStore)
	}
}

type matrixMove struct {
	space space
	base  int32
	off   uint64
	trans bool
	regs  []int32
}

const (
	matrixRows = 8
	rowBytes   = 16
)

// rows resolves the row addresses of all matrices.
func (x *matrixMove) rows(w *warp, write bool) (rows [warpSize][]byte, ok bool) {
	need := uint32(lowBits(matrixRows * len(x.regs)))
	if miss := need &^ w.init[x.base]; miss != 0 {
		w.uninit(x.base, miss)
		return rows, false
	}
	w.turn++
	t := &w.traffic
	t.start(w)
	for lane := range matrixRows * len(x.regs) {
		p := w.resolve(x.space, lane, w.regs[x.base][lane]+x.off, rowBytes, write)
		if p.bytes == nil {
			return rows, false
		}
		if p.space != spaceShared {
			w.failAddr(BadAddress, lane, p.addr, "matrices lie in shared memory")
			return rows, false
		}
		if !w.note(lane, p, accessKind{write: write}) {
			return rows, false
		}
		rows[lane] = p.bytes
		t.add(spaceShared, p.addr)
	}
	w.count(t, rowBytes, write)
	return rows, true
}

// at finds the 16-bit elements of a lane in matrix i: row and column of the first, step to the second.
func (x *matrixMove) at(lane, i, e int) (row, col int) {
	row, col = lane/4, lane%4*2+e
	if x.trans {
		row, col = col, row
	}
	return i*matrixRows + row, col
}

func (x *matrixMove) load(w *warp) signal {
	rows, ok := x.rows(w, false)
	if !ok {
		return goOn
	}
	for i, r := range x.regs {
		w.init[r] = allLanes
		d, of := &w.regs[r], rows[i*matrixRows:][:matrixRows]
		if !x.trans { // both elements are neighbours
			for row, p := range of {
				for col := range 4 {
					d[row*4+col] = uint64(binary.LittleEndian.Uint32(p[4*col:]))
				}
			}
			continue
		}
		for lane := range d {
			row, col := lane%4*2, lane/4*2
			d[lane] = uint64(binary.LittleEndian.Uint16(of[row][col:])) | uint64(binary.LittleEndian.Uint16(of[row+1][col:]))<<16
		}
	}
	return goOn
}

func (x *matrixMove) store(w *warp) signal {
	if !w.defined(x.regs...) {
		return goOn
	}
	rows, ok := x.rows(w, true)
	if !ok {
		return goOn
	}
	w.cta.progress++
	for i, r := range x.regs {
		for lane := range warpSize {
			for e := range 2 {
				row, col := x.at(lane, i, e)
				binary.LittleEndian.PutUint16(rows[row][2*col:], uint16(w.regs[r][lane]>>(16*e)))
			}
		}
	}
	return goOn
}

// decodeMovmatrix transposes an 8x8 matrix held by the warp (PTX ISA, "movmatrix").
func decodeMovmatrix(d *decoder) {
	if !d.nargs(2, 2) {
		return
	}
	a, dst := d.src(&d.in.Args[1], typeB32), d.dst(&d.in.Args[0], typeB32)
	d.fullWarp(func(w *warp) signal {
		if !w.defined(a) {
			return goOn
		}
		for lane := range warpSize {
			v := uint64(0)
			for e := range 2 {
				row, col := lane%4*2+e, lane/4
				v |= w.regs[a][row*4+col/2] >> (16 * (col % 2)) & 0xffff << (16 * e)
			}
			w.tmp[lane] = v
		}
		w.keep(dst)
		return goOn
	}, ClassShuffle)
}
