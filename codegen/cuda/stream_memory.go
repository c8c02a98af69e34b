package cuda

import (
	"llmc/engine"
	"llmc/internal/dtype"
)

// planStream gives a launch the memory that its entries want for pieces.
func planStream(e *entry) {
	bytes, tickets := 0, 0
	for _, s := range wideShapesOf(e) {
		w := newWide(e, s)
		if !w.cuts() {
			continue
		}
		_, tiles := w.stream.bounds()
		if w.oneRow {
			tiles = w.rest()
		}
		bytes, tickets = max(bytes, tiles*kParts*w.partBytes()), max(tickets, tiles)
	}
	if tickets == 0 {
		return
	}
	e.launch.Attrs = append(e.launch.Attrs, engine.Attr{Name: "tickets", Int: int64(tickets)})
	for i, role := range e.kernel.Roles {
		switch role.Name {
		case "parts":
			e.launch.Operands[i] = partsBuffer(e.program, bytes)
		case "tickets":
			e.launch.Operands[i] = engine.InputOperand(role.Name)
		}
	}
}

const partsName = "stream.parts"

// partsBuffer is memory of at least that size for the sums of parts. All launches share it, since they run one after the other.
func partsBuffer(p *engine.Program, bytes int) engine.Operand {
	const line = engine.PartialLineBytes
	rows := constant(ceilDiv(bytes, line))
	for i := range p.Buffers {
		if b := &p.Buffers[i]; b.Name == partsName {
			if b.Rows.K < rows.K {
				b.Rows, p.Slots[b.Slot] = rows, rows.Scale(line)
			}
			return engine.Operand{Kind: engine.OperandBuffer, Index: i}
		}
	}
	p.Slots = append(p.Slots, rows.Scale(line))
	p.Buffers = append(p.Buffers, engine.Buffer{Name: partsName, Slot: len(p.Slots) - 1, Rows: rows, Cols: line / 4, Stride: line, DType: dtype.F32})
	return engine.Operand{Kind: engine.OperandBuffer, Index: len(p.Buffers) - 1}
}
