package cuda

import (
	"llmc/codegen/ptx"
)

// source is what an entry was written from.
type source struct {
	e entry
	v variant
}

// part makes an entry the body of a persistent kernel, which does the work of one CTA of the launch that the entry is for. What is the launch's to say
// is then the task's: the number of the block, the arguments, who meets at a barrier. nil: the entry is a kernel of its own.
type part struct {
	name      string     // what its regions of shared memory begin with
	block     [3]ptx.Reg // its CTA's number
	arguments ptx.Reg    // where they lie: slots of 8 bytes
	threads   int        // of the CTA
	// await waits for the tasks that this one comes after; nil where that has been done. All threads of the CTA say it once, or none.
	await func()
}

// partBarrier is where the threads of a part meet if they are not all of the CTA. Parts have those below for themselves.
const partBarrier = 4

// CtaX, CtaY and CtaZ are the numbers of the CTA in the grid, and of the block where it is a part's.
func (e *entry) CtaX() ptx.Reg { return e.number(0, e.Builder.CtaX) }

// CtaY is described at CtaX.
func (e *entry) CtaY() ptx.Reg { return e.number(1, e.Builder.CtaY) }

// CtaZ is described at CtaX.
func (e *entry) CtaZ() ptx.Reg { return e.number(2, e.Builder.CtaZ) }

func (e *entry) number(dimension int, launched func() ptx.Reg) ptx.Reg {
	if e.part == nil {
		return launched()
	}
	return e.Mov(e.part.block[dimension])
}

// Sync waits for all threads that work on the block.
func (e *entry) Sync() {
	if e.part == nil || e.part.threads == e.threads {
		e.Builder.Sync()
		return
	}
	e.SyncSome(partBarrier, e.threads)
}

// Static declares shared memory, which parts have in turn.
func (e *entry) Static(name string, bytes, align int) *ptx.Region {
	if e.part == nil {
		return e.Builder.Static(name, bytes, align)
	}
	return e.Dynamic(name, bytes, align)
}

// Dynamic is like Static.
func (e *entry) Dynamic(name string, bytes, align int) *ptx.Region {
	if e.part != nil {
		name = e.part.name + "_" + name
	}
	return e.Builder.Dynamic(name, bytes, align)
}

// Reload loads a pointer once more, so that no register holds it until here.
func (e *entry) Reload(role string) ptx.Reg {
	if e.part == nil {
		return e.Builder.Reload(role)
	}
	for i := range e.kernel.Roles {
		if e.kernel.Roles[i].Name == role {
			return e.argument(i)
		}
	}
	return ptx.Reg{}
}

// argument loads a pointer of the task, of which there is not always a copy in shared memory yet.
func (e *entry) argument(i int) ptx.Reg {
	return e.ToGlobal(e.Ld(ptx.U64, e.part.arguments.At(argumentBytes*i)))
}

// fetch loads what a launch is given as parameters.
func (e *entry) fetch() {
	for i, role := range e.kernel.Roles {
		e.pointers[role.Name] = e.argument(i)
	}
	size := func(i int) ptx.Reg { return e.Builder.Reload(persistentSizes[i]) }
	e.t, e.b, e.r, e.pageSize, e.pageStride = size(0), size(1), size(2), size(3), size(4)
}

// unless writes the rest of a kernel, which CTAs leave out where one of the conditions holds.
func (e *entry) unless(idle []ptx.Reg, rest func()) {
	switch {
	case len(idle) == 0:
		rest()
	case e.part == nil:
		for _, p := range idle {
			e.When(p).Return()
		}
		rest()
	default:
		e.If(idle[0].Not(), func() { e.unless(idle[1:], rest) })
	}
}
