package kernel

import (
	"unsafe"

	"llmc/engine/layout"
)

// tilePart is a part of a segment of K, or all of it. Assembly reads the fields by name.
type tilePart struct {
	steps, xBytes int // tiles of K, and the bytes that they are of a pair of tiles of rows
	rowsPerStep   int // whose sums are finished while a step is multiplied
	goesOn, open  int // 1: there are parts of the segment before it, behind it
	adds          int // 1: it is not of the first segment
	entry         int // bytes from the row's first entry to the segment's
}

// partSteps is how many tiles of K a part has at most: two tiles of rows and two of a panel for each take most of the nearest cache.
const partSteps = 9

// cutSteps cuts the steps of K into parts. A single pair of tiles of rows needs none but the segments.
func (p *amxProduct) cutSteps(rows int) {
	a, sc := &p.sc.args, p.sc
	sc.parts = sc.parts[:0]
	for segment := range a.segments {
		steps, limit := a.steps, partSteps
		if segment == a.segments-1 {
			steps = a.lastSteps
		}
		if rows <= p.pairRows {
			limit = steps
		}
		t := firstTile(steps, limit)
		for ; t.n > 0; t.next() {
			part := tilePart{steps: t.n, xBytes: 2 * amxBytes * t.n, rowsPerStep: ceilDiv(p.pairRows, t.n), entry: layout.EntryBytes * segment}
			part.goesOn, part.open, part.adds = min(1, t.index), min(1, t.tiles-1-t.index), min(1, segment)
			sc.parts = append(sc.parts, part)
		}
	}
	a.parts, a.partCount, a.spill, a.pairBytes = &sc.parts[0], len(sc.parts), unsafe.Pointer(&sc.spill[0]), p.pairBytes
	a.aheadLines = ceilDiv(p.w.panel/layout.Align, ceilDiv(rows, p.pairRows)*p.blocks())
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
