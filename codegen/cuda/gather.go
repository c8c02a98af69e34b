package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// gatherThreads look up one row.
const gatherThreads = 128

// gather is y[m] = table[ids[m]], one CTA for each row, pairs of neighbouring columns a thread. It reads the same fragments as a
// tied output matrix: column k of row r lies in lane 4*(r%8) + k%8/2 of fragment k/depth, register r/8 + k%16/8*2 of its step.
func gather(e *entry) {
	w := e.weight("table")
	n, _ := w.Type.Rows().IsConst()
	k, _ := w.Type.Cols()
	f, err := layout.NewFragments(w.Type.Layout, int(n), int(k))
	if err != nil {
		panic("cuda: " + err.Error()) // the layout pass asked Target, which knows them
	}
	row := e.CtaX()
	id := e.Ld(ptx.U32, e.Index(e.pointers["ids"], row, 4))
	base := e.Index(e.pointers["table"], e.Shr(id, 4), f.PanelBytes())
	within := e.And(id, layout.FragmentRows-1)
	lane, half := e.Shl(e.And(within, 7), 2), e.Shr(within, 3)
	out := e.row("y", row)
	decode := tableDecoders[f.Depth](e, f, base, within)
	e.pairs(e.cols("y"), func(i ptx.Reg) {
		at := e.Mul(e.Shr(i, log2(f.Depth)), fragmentBytes)
		at = e.Mad(e.Add(lane, e.Shr(e.And(i, 7), 1)), 16, at)
		register := e.Add(half, e.Shl(e.And(e.Shr(i, 3), 1), 1))
		step := e.And(e.Shr(i, 4), f.Depth/16-1)
		e.store2("y", out, i, decode(i, at, step, register))
	})
}

// tableDecoders is indexed by the k of a fragment. A decoder gives columns i and i+1, whose lane's 16 bytes lie at at.
var tableDecoders = map[int]func(e *entry, f layout.Fragments, base, row ptx.Reg) func(i, at, step, register ptx.Reg) [2]ptx.Reg{
	16: func(e *entry, _ layout.Fragments, base, _ ptx.Reg) func(i, at, step, register ptx.Reg) [2]ptx.Reg {
		return func(_, at, _, register ptx.Reg) [2]ptx.Reg {
			return e.widen(e.Ld(ptx.BF16x2, e.Index(base, e.Mad(register, 4, at), 1)))
		}
	},
	32: func(e *entry, f layout.Fragments, base, row ptx.Reg) func(i, at, step, register ptx.Reg) [2]ptx.Reg {
		scale := e.Ld(ptx.F32, e.Index(base, row, 4).At(f.ScaleOffset(0)))
		return func(_, at, step, register ptx.Reg) [2]ptx.Reg {
			codes := e.Index(base, e.Mad(register, 2, e.Mad(step, 8, at)), 1)
			number := func(i int) ptx.Reg {
				return e.Mul(e.Cvt(ptx.F32, e.Sub(e.Ld(ptx.U8, codes.At(i)).As(ptx.S32), 128)), scale)
			}
			return [2]ptx.Reg{number(0), number(1)}
		}
	},
	64: func(e *entry, f layout.Fragments, base, row ptx.Reg) func(i, at, step, register ptx.Reg) [2]ptx.Reg {
		return func(i, at, step, register ptx.Reg) [2]ptx.Reg {
			element := e.Mad(e.Shr(i, log2(f.Group)), layout.FragmentRows, row)
			scale := e.Cvt(ptx.F32, e.Ld(ptx.F16, e.Index(base, element, 2).At(f.ScaleOffset(0))))
			zero := e.Const(ptx.S32, 8)
			if f.Zeros {
				zero = e.Ld(ptx.U8, e.Index(base, element, 1).At(f.ZeroOffset(0))).As(ptx.S32)
			}
			word := e.Shr(e.Ld(ptx.B32, e.Index(base, e.Mad(step, 4, at), 1)), e.Shl(register, 2))
			number := func(shift int) ptx.Reg {
				code := e.And(e.Shr(word, shift), 15).As(ptx.S32)
				return e.Mul(e.Cvt(ptx.F32, e.Sub(code, zero)), scale)
			}
			return [2]ptx.Reg{number(0), number(16)}
		}
	},
}
