package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// Work that several CTAs share is cut into pieces: each CTA writes what it has to memory of the launch, and the last one to come puts all of it together.
// Nobody waits: pieces need not run at the same time.

// lastPiece counts the CTA among those that have pieces of the same work, once sync tells that all its threads have written theirs. counter gives the place
// to count at, which is zero before and after the launch, and how many others there are. The result is 1 in the threads of the last CTA, 0 in
// others; flag is shared memory for it.
func (e *entry) lastPiece(flag ptx.Reg, sync func(), counter func() (at, others ptx.Reg)) ptx.Reg {
	sync()
	e.If(e.Eq(e.TidX(), 0), func() {
		at, others := counter()
		before := e.AtomInc(ptx.AcquireRelease, at, others)
		e.St(flag, e.Select(e.Eq(before, others), e.Const(ptx.U32, 1), 0))
	})
	sync()
	return e.Ld(ptx.U32, flag)
}

// place gives the launch an operand that is not the op's.
func (e *entry) place(role string, o engine.Operand) {
	for i := range e.kernel.Roles {
		if e.kernel.Roles[i].Name == role {
			e.launch.Operands[i] = o
		}
	}
}

// pieceMemory is a buffer of so many lines for pieces. Launches that ask for as many, or for some other fixed number, share it: they run one after
// the other.
func pieceMemory(p *engine.Program, name string, lines sym.Dim) engine.Operand {
	const line = engine.PartialLineBytes
	for i := range p.Buffers {
		b := &p.Buffers[i]
		if b.Name != name {
			continue
		}
		have, fixed := b.Rows.IsConst()
		want, alike := lines.IsConst()
		if fixed && alike && have < want {
			b.Rows, p.Slots[b.Slot] = lines, lines.Scale(line)
		}
		if fixed && alike || b.Rows == lines {
			return engine.Operand{Kind: engine.OperandBuffer, Index: i}
		}
	}
	p.Slots = append(p.Slots, lines.Scale(line))
	p.Buffers = append(p.Buffers, engine.Buffer{Name: name, Slot: len(p.Slots) - 1, Rows: lines, Cols: line / 4, Stride: line, DType: dtype.F32})
	return engine.Operand{Kind: engine.OperandBuffer, Index: len(p.Buffers) - 1}
}
