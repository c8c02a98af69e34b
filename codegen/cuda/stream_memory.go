package cuda

import "llmc/engine"

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
	e.place("parts", pieceMemory(e.program, "stream.parts", constant(ceilDiv(bytes, engine.PartialLineBytes))))
	e.place("tickets", engine.InputOperand("tickets"))
}
