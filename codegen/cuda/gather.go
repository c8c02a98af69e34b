package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// gatherThreads look up one row.
const gatherThreads = 128

// gatherIndices name the array of a step that numbers the rows.
var gatherIndices = map[string]string{"cuda.gather": "ids", "cuda.gather_positions": "positions", "cuda.gather_types": "types"}

// gather is y[m] = table[ids[m]], or of positions or types, one CTA for each row, pairs of neighbouring columns a thread. It reads the same fragments as a
// tied output matrix.
func gather(e *entry) {
	w := e.weight("table")
	n, _ := w.Type.Rows().IsConst()
	k, _ := w.Type.Cols()
	f, err := layout.NewFragments(w.Type.Layout, int(n), int(k))
	if err != nil {
		panic("cuda: " + err.Error()) // the layout pass asked Target, which knows them
	}
	row := e.CtaX()
	index := gatherIndices[e.launch.Kernel]
	id := e.Ld(ptx.U32, e.Index(e.pointers[index], row, 4))
	if index != "ids" { // whoever serves a longer context than the table has rows for reads none behind it
		id = e.Min(id, int(n)-1)
	}
	base := e.Index(e.pointers["table"], e.Shr(id, 4), f.PanelBytes())
	within := e.And(id, layout.FragmentRows-1)
	out := e.row("y", row)
	t := &table{e, f, base, within}
	decode := tableDecoders[f.Element](t)
	e.pairs(e.cols("y"), func(i ptx.Reg) { e.store2("y", out, i, decode(i)) })
}

// table is a row of a packed table.
type table struct {
	e    *entry
	w    layout.Fragments
	base ptx.Reg // of the row's panel
	row  ptx.Reg // within it
}

// fragment is the offset in the panel of the fragment that has column i.
func (t *table) fragment(i ptx.Reg) ptx.Reg {
	return t.e.Mul(t.e.Shr(i, log2(t.w.Depth)), fragmentBytes)
}

// bit is bit n of i, in place of bit 0.
func (t *table) bit(i ptx.Reg, n int) ptx.Reg { return t.e.And(t.e.Shr(i, n), 1) }

// pair says where columns i and i+1 lie, of fragments whose registers are pairs: in lane 4*(row%8) + i%8/2, whose 16 bytes are at at, in
// register row/8 + i%16/8*2 of a step of 16 columns.
func (t *table) pair(i ptx.Reg) (at, step, register ptx.Reg) {
	lane := t.e.Add(t.e.Shl(t.e.And(t.row, 7), 2), t.e.Shr(t.e.And(i, 7), 1))
	register = t.e.Add(t.e.Shr(t.row, 3), t.e.Shl(t.bit(i, 3), 1))
	return t.e.Mad(lane, 16, t.fragment(i)), t.e.And(t.e.Shr(i, 4), t.w.Depth/16-1), register
}

// quad is the same for fragments whose registers have four columns: in lane 4*(row%8) + i%16/4, register row/8 + i%32/16*2.
func (t *table) quad(i ptx.Reg) (at, register ptx.Reg) {
	lane := t.e.Add(t.e.Shl(t.e.And(t.row, 7), 2), t.e.Shr(t.e.And(i, 15), 2))
	return t.e.Mad(lane, 16, t.fragment(i)), t.e.Add(t.e.Shr(t.row, 3), t.e.Shl(t.bit(i, 4), 1))
}

// rowScale loads the scale that a row has.
func (t *table) rowScale() ptx.Reg {
	return t.e.Ld(ptx.F32, t.e.Index(t.base, t.row, 4).At(t.w.ScaleOffset(0)))
}

// scaleOf gives the scale of a column, loaded at once where the row has only one.
func (t *table) scaleOf() func(i ptx.Reg) ptx.Reg {
	if t.w.Group == 0 {
		scale := t.rowScale()
		return func(ptx.Reg) ptx.Reg { return scale }
	}
	quarter := t.e.Shr(t.row, log2(t.w.ScaleRows))
	return func(i ptx.Reg) ptx.Reg {
		element := t.e.Mad(t.e.Shr(i, log2(t.w.Group)), t.w.GroupBytes()/4, quarter)
		return t.e.Ld(ptx.F32, t.e.Index(t.base, element, 4).At(t.w.ScaleOffset(0)))
	}
}

// halves decodes pairs of numbers of 16 bits.
func (t *table) halves(pair ptx.Type) func(i ptx.Reg) [2]ptx.Reg {
	return func(i ptx.Reg) [2]ptx.Reg {
		at, _, register := t.pair(i)
		return t.e.widen(t.e.Ld(pair, t.e.Index(t.base, t.e.Mad(register, 4, at), 1)))
	}
}

// tableDecoders is indexed by what is stored of a weight. A decoder gives columns i and i+1.
var tableDecoders = map[string]func(t *table) func(i ptx.Reg) [2]ptx.Reg{
	"bf16": func(t *table) func(i ptx.Reg) [2]ptx.Reg { return t.halves(ptx.BF16x2) },
	"f16":  func(t *table) func(i ptx.Reg) [2]ptx.Reg { return t.halves(ptx.F16x2) },
	"u8": func(t *table) func(i ptx.Reg) [2]ptx.Reg {
		scale := t.rowScale()
		return func(i ptx.Reg) [2]ptx.Reg {
			at, step, register := t.pair(i)
			codes := t.e.Index(t.base, t.e.Mad(register, 2, t.e.Mad(step, 8, at)), 1)
			number := func(i int) ptx.Reg {
				return t.e.Mul(t.e.Cvt(ptx.F32, t.e.Sub(t.e.Ld(ptx.U8, codes.At(i)).As(ptx.S32), 128)), scale)
			}
			return [2]ptx.Reg{number(0), number(1)}
		}
	},
	"s8": func(t *table) func(i ptx.Reg) [2]ptx.Reg {
		scale := t.rowScale()
		return func(i ptx.Reg) [2]ptx.Reg {
			at, register := t.quad(i)
			codes := t.e.Index(t.base, t.e.Add(t.e.Mad(register, 4, at), t.e.And(i, 2)), 1)
			number := func(i int) ptx.Reg {
				return t.e.Mul(t.e.Cvt(ptx.F32, t.e.ExtendS8(t.e.Ld(ptx.U8, codes.At(i)))), scale)
			}
			return [2]ptx.Reg{number(0), number(1)}
		}
	},
	"e4m3": func(t *table) func(i ptx.Reg) [2]ptx.Reg {
		scale := t.scaleOf()
		return func(i ptx.Reg) [2]ptx.Reg {
			at, register := t.quad(i)
			scale := scale(i)
			codes := t.e.Index(t.base, t.e.Add(t.e.Mad(register, 4, at), t.e.And(i, 2)), 1)
			number := func(i int) ptx.Reg {
				code := t.e.Ld(ptx.U8, codes.At(i)).As(ptx.B32)
				bits := t.e.Or(t.e.Shl(t.e.And(code, 0x80), 24), t.e.Shl(t.e.And(code, 0x7f), 20))
				return t.e.Mul(t.e.Mul(bits.As(ptx.F32), float64(float8Scale)), scale)
			}
			return [2]ptx.Reg{number(0), number(1)}
		}
	},
	"u4": func(t *table) func(i ptx.Reg) [2]ptx.Reg {
		return func(i ptx.Reg) [2]ptx.Reg {
			at, step, register := t.pair(i)
			element := t.e.Mad(t.e.Shr(i, log2(t.w.Group)), layout.FragmentRows, t.row)
			scale := t.e.Cvt(ptx.F32, t.e.Ld(ptx.F16, t.e.Index(t.base, element, 2).At(t.w.ScaleOffset(0))))
			zero := t.e.Const(ptx.S32, 8)
			if t.w.Zeros {
				zero = t.e.Ld(ptx.U8, t.e.Index(t.base, element, 1).At(t.w.ZeroOffset(0))).As(ptx.S32)
			}
			word := t.e.Shr(t.e.Ld(ptx.B32, t.e.Index(t.base, t.e.Mad(step, 4, at), 1)), t.e.Shl(register, 2))
			number := func(shift int) ptx.Reg {
				code := t.e.And(t.e.Shr(word, shift), 15).As(ptx.S32)
				return t.e.Mul(t.e.Cvt(ptx.F32, t.e.Sub(code, zero)), scale)
			}
			return [2]ptx.Reg{number(0), number(16)}
		}
	},
}
