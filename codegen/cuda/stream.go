package cuda

import (
	"llmc/engine"
)

// stream shares the tiles of a product on wgmma among CTAs: stream-K (Osama et al., "Stream-K: Work-centric Parallel Decomposition for Dense
// Matrix-Matrix Multiplication on the GPU", PPoPP 2023) with the order of sums that all products have. Tiles that would be left for a last round of
// CTAs in which part of the card is idle are cut: the parts of K of all of them, tile after tile, are shared out in ranges of equal length.
//
//	tile       |       0       |       1       |       2       |
//	part       |0 1 2 3 4 5 6 7|0 1 2 3 4 5 6 7|0 1 2 3 4 5 6 7|     rest = 3 tiles on 4 CTAs: length = 6
//	range      |     0     |     1     |     2     |     3     |
//	CTA        |     0     | 5 |   1   |   2   | 6 |     3     |     4 and 7 have nothing to do
//
// A piece is what a range has of one tile. CTAs 0.. have the longer piece of each range and CTAs ranges.. what else there is of it, if ranges cut tiles
// unevenly at all; behind those each CTA has a whole tile. So whoever is free takes the next piece, and no CTA has two.
//
// A piece's sum of each part of K goes to memory of the launch, and its CTA counts itself on the tile's ticket. The last one to come adds up
// all eight in order, as a CTA that has the whole tile does: the bits are the same whatever the card, the shape and the number of tiles. Unproven
// on hardware.
type stream struct {
	slots int // CTAs that the target's card takes at a time
	// Ranges have from least to most parts of K, a multiple of step: for shorter ones a CTA is filled and emptied for too little, with longer ones writing
	// and reading sums takes more time than idle multiprocessors lose. most is 0 where tiles are never cut.
	least, most, step int
}

// Cycles of a multiprocessor of sm90 (H100 and H200, "NVIDIA H100 Tensor Core GPU Architecture"): what a range costs is estimated with these.
const (
	readPerCycle    = 20   // bytes of weights from memory, if all multiprocessors read
	sumsPerCycle    = 64   // bytes of sums to or from the L2 cache
	productPerCycle = 4096 // operations of bf16; twice as many of codes of 8 bits
	tripCycles      = 2000 // round trips to memory: those of a CTA before it has its first stage, and those that pass sums on
	leastChunks     = 8    // of a ring in a range: about its stages
)

func newStream(w *wide) stream {
	s := stream{slots: w.cores * w.ctas, step: w.rings}
	chunks := w.w.KPad() / chunk
	s.least = roundUp(ceilDiv(kParts*leastChunks*w.rings, chunks), s.step)
	part, sums := w.partCycles(), w.partBytes()/sumsPerCycle
	for length := s.least; length < kParts; length += s.step {
		cost := (kParts+length)*sums + tripCycles
		if kParts%length != 0 {
			cost += tripCycles // of second pieces
		}
		if (kParts-length)*part > cost {
			s.most = length
		}
	}
	return s
}

func roundUp(n, to int) int { return ceilDiv(n, to) * to }

// partCycles is what a part of K of a tile takes: to be read, or to be multiplied.
func (w *wide) partCycles() int {
	read := w.panels * w.w.PanelBytes() / kParts / readPerCycle
	product := 2 * w.outputs() * w.tokens * w.w.KPad() / kParts / productPerCycle
	if w.coded() {
		product /= 2
	}
	return max(read, product)
}

// partBytes is the size of a tile's sums of a part of K.
func (w *wide) partBytes() int { return 4 * w.outputs() * w.tokens }

// lengthOf is the length of ranges for a last round of so many tiles, 8 where these are not cut.
func (s stream) lengthOf(rest int) int {
	length := max(roundUp(ceilDiv(kParts*rest, s.slots), s.step), s.least)
	if rest == 0 || length > s.most {
		return kParts
	}
	return length
}

// piecesOf is the number of CTAs for ranges of a last round of so many tiles.
func (s stream) piecesOf(rest int) (ranges, pieces int) {
	length := s.lengthOf(rest)
	ranges = ceilDiv(kParts*rest, length)
	if kParts%length != 0 {
		return ranges, 2 * ranges
	}
	return ranges, ranges
}

// bounds are the largest number of CTAs that cutting adds, and of tiles that are cut.
func (s stream) bounds() (ctas, tiles int) {
	for rest := range s.slots {
		_, pieces := s.piecesOf(rest)
		ctas = max(ctas, pieces-rest)
		if s.lengthOf(rest) < kParts {
			tiles = rest
		}
	}
	return ctas, tiles
}

// cuts tells whether the entry may cut tiles.
func (w *wide) cuts() bool {
	return w.stream.most > 0 && (!w.oneRow || w.stream.lengthOf(w.rest()) < kParts)
}

// columns is the number of tiles along the outputs.
func (w *wide) columns() int { return ceilDiv(w.w.Panels(), w.panels) }

// rest is how many of one row of tiles are left for a last round of CTAs.
func (w *wide) rest() int { return w.columns() % w.stream.slots }

// grid of an entry that cuts no tiles has tokens first: CTAs that run together share weights. Else it is a list of CTAs for each tile of tokens
// of which there is one, or for all.
func (w *wide) grid() [3]engine.Extent {
	rows := engine.Extent{Of: w.buffer("x").Rows, Per: int64(w.tokens)}
	columns := int64(w.columns())
	switch {
	case !w.cuts():
		return grid(rows, engine.Extent{Of: constant(w.columns()), Per: 1})
	case w.oneRow:
		_, pieces := w.stream.piecesOf(w.rest())
		return grid(rows, engine.Extent{Of: constant(pieces + w.columns() - w.rest()), Per: 1})
	}
	more, _ := w.stream.bounds()
	all := rows.Of.Scale(columns).Add(constant((w.tokens-1)*w.columns() + more*w.tokens))
	return grid(engine.Extent{Of: all, Per: rows.Per})
}
