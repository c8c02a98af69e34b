package ptx

func (b *Builder) special(t Type, name string) Reg {
	d := b.result(t)
	b.emit("mov."+t.arith()+"/special", d, special(name))
	return d
}

// TidX is the number of the thread in its CTA.
func (b *Builder) TidX() Reg { return b.special(U32, "%tid.x") }

// NtidX is the number of threads of a CTA.
func (b *Builder) NtidX() Reg { return b.special(U32, "%ntid.x") }

// CtaX, CtaY and CtaZ are the numbers of the CTA in the grid.
func (b *Builder) CtaX() Reg { return b.special(U32, "%ctaid.x") }

// CtaY is described at CtaX.
func (b *Builder) CtaY() Reg { return b.special(U32, "%ctaid.y") }

// CtaZ is described at CtaX.
func (b *Builder) CtaZ() Reg { return b.special(U32, "%ctaid.z") }

// GridX, GridY and GridZ are the sizes of the grid in CTAs.
func (b *Builder) GridX() Reg { return b.special(U32, "%nctaid.x") }

// GridY is described at GridX.
func (b *Builder) GridY() Reg { return b.special(U32, "%nctaid.y") }

// GridZ is described at GridX.
func (b *Builder) GridZ() Reg { return b.special(U32, "%nctaid.z") }

// Lane is the number of the thread in its warp.
func (b *Builder) Lane() Reg { return b.special(U32, "%laneid") }

// LaneMaskLt has a bit for every lane below this one.
func (b *Builder) LaneMaskLt() Reg { return b.special(U32, "%lanemask_lt") }

// SM is the number of the multiprocessor.
func (b *Builder) SM() Reg { return b.special(U32, "%smid") }

// Clock counts cycles of the multiprocessor.
func (b *Builder) Clock() Reg { return b.special(U64, "%clock64") }

// GlobalTimer counts nanoseconds.
func (b *Builder) GlobalTimer() Reg { return b.special(U64, "%globaltimer") }

// Warp is the number of the warp in its CTA, the same register value in all lanes: branches on it are warp-uniform.
func (b *Builder) Warp() Reg { return b.groupNumber(5, WarpUniform) }

// Warpgroup is the number of the group of four warps that wgmma works with, the same in all its threads.
func (b *Builder) Warpgroup() Reg { return b.groupNumber(7, WarpgroupUniform) }

func (b *Builder) groupNumber(shift int, level Uniformity) Reg {
	v := b.plainView()
	number := b.ShflIdx(v.Shr(v.TidX(), shift), 0)
	return b.Assume(level, number)
}

// Uniformity says among which threads of a CTA a value is the same.
type Uniformity uint8

// Levels of uniformity, the widest first.
const (
	CTAUniform Uniformity = iota
	WarpgroupUniform
	WarpUniform
	Divergent
)

func (u Uniformity) String() string {
	return [...]string{"uniform in the CTA", "uniform in the warpgroup", "uniform in the warp", "divergent"}[u]
}

// Assume declares that x is the same in all threads of a group where that cannot be derived, such as a sum over the
// group. It gives x back and writes no instruction.
func (b *Builder) Assume(level Uniformity, x Reg) Reg {
	if err := b.checkOwner(x); err != nil {
		b.fail("Assume: %v", err)
		return x
	}
	b.append(&assume{x, level})
	return x
}
