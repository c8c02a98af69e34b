package kernel

import "unsafe"

// Sets with AMX multiply many rows over a cache of i8 on tiles. The sums are exact integers, so nobody can tell from the bits.

const (
	tileRowsI8   = 16 // rows of a tile kernel
	tileBlockI8  = 64 // channels of queries, or positions of weights, that a tile has
	fewRowsI8    = 8  // rows from which tiles are faster than vectors
	tilesBytesI8 = digitsI8 * tileRowsI8 * tileBlockI8
)

// tileI8Kernels are the kernels of attention over i8 by tiles.
type tileI8Kernels struct {
	scores func(a *tileScoreI8Args)
	values func(a *tileValueI8Args)
	// pack writes the digits of a row, blocks blocks of 64 numbers, to its lines of tiles; those of a block are next bytes behind those of the last.
	pack func(dst, src unsafe.Pointer, blocks, next int)
}

// tileScoreI8Args: scores of up to 16 rows against pairs of panels.
type tileScoreI8Args struct {
	q                 unsafe.Pointer // [steps] [digits] [16 rows] [64]
	panels            *scorePanel
	pairs, steps      int
	out               unsafe.Pointer // [rows][32*pairs] f32
	outStride         int
	entry             unsafe.Pointer // of row 0
	entryStride, rows int
	sums              unsafe.Pointer // room for four tiles
}

// tileValueI8Args: values weighted by up to 16 rows.
type tileValueI8Args struct {
	p                 unsafe.Pointer // [chunks] [digits] [16 rows] [64]
	v                 unsafe.Pointer // [16*chunks] quads of positions
	vStride           int
	chunks, blocks    int // of 64 positions, and of 32 channels
	out               unsafe.Pointer
	outStride         int
	entry             unsafe.Pointer
	entryStride, rows int
	sums              unsafe.Pointer
}

// tileI8Scratch is one worker's memory for attention over i8 by tiles.
type tileI8Scratch struct {
	score  tileScoreI8Args
	value  tileValueI8Args
	packed []byte // tiles of queries or of weights
	values []byte // [SplitLength/4][DimV] quads
	sums   []int32
}

// tilesI8 tells whether n rows are multiplied on tiles.
func (s *Set) tilesI8(a *Attention, n int) bool {
	return s.tileI8.scores != nil && a.kind() == kvI8 && n >= fewRowsI8 && a.Dim%tileBlockI8 == 0 && a.DimV()%(2*panelPositions) == 0
}

// gatherValues copies the values of the panels that the tile sees, so that quads of positions follow each other across pages.
func (sc *attendScratch) gatherValues(t *attendTile) {
	const quads = panelPositions / 4
	size := quads * t.VRowBytes()
	grow(&sc.tiles.values, SplitLength/panelPositions*size)
	grow(&sc.tiles.packed, max(SplitLength, t.Dim)/tileBlockI8*tilesBytesI8)
	grow(&sc.tiles.sums, 4*tileRowsI8*tileRowsI8)
	lo, hi := t.span()
	for i := lo / panelPositions; i*panelPositions < hi; i++ {
		copy(sc.tiles.values[i*size:(i+1)*size], unsafe.Slice((*byte)(sc.panels[i].v), size))
	}
}

// tileScores is scores by tiles.
func (s *Set) tileScores(sc *attendScratch, t *attendTile) {
	tiles := &sc.tiles
	steps := t.Dim / tileBlockI8
	for i := range t.rows {
		s.tileI8.pack(unsafe.Pointer(&tiles.packed[i*tileBlockI8]), unsafe.Pointer(&sc.queries[(t.query+i)*sc.queryStride]), steps, tilesBytesI8)
	}
	lo, hi := t.span()
	from, to := lo/(2*panelPositions), (hi+2*panelPositions-1)/(2*panelPositions)
	tiles.score = tileScoreI8Args{
		q: unsafe.Pointer(&tiles.packed[0]), panels: &sc.panels[2*from], pairs: to - from, steps: steps,
		out: unsafe.Pointer(&sc.scores[2*from*panelPositions]), outStride: 4 * scoreStride,
		entry: unsafe.Pointer(&sc.queries[(t.query+1)*sc.queryStride-entryBytes]), entryStride: sc.queryStride, rows: t.rows,
		sums: unsafe.Pointer(&tiles.sums[0]),
	}
	s.tileI8.scores(&tiles.score)
}

// tileValues is the products of valuesI8 by tiles: rows hold the digits of weights.
func (s *Set) tileValues(sc *attendScratch, t *attendTile, lo, hi int, part []float32) {
	tiles := &sc.tiles
	lo, hi = lo&^(tileBlockI8-1), (hi+tileBlockI8-1)&^(tileBlockI8-1)
	chunks, size := (hi-lo)/tileBlockI8, t.PartFloats()
	for i := range t.rows {
		s.tileI8.pack(unsafe.Pointer(&tiles.packed[i*tileBlockI8]), unsafe.Pointer(&sc.integers[i*integerStride+digitsI8*lo]), chunks, tilesBytesI8)
	}
	tiles.value = tileValueI8Args{
		p: unsafe.Pointer(&tiles.packed[0]), v: unsafe.Pointer(&tiles.values[lo/4*t.VRowBytes()]), vStride: t.VRowBytes(),
		chunks: chunks, blocks: t.DimV() / (2 * panelPositions),
		out: unsafe.Pointer(&part[partHead]), outStride: 4 * size,
		entry: unsafe.Pointer(&sc.integers[SplitLength*digitsI8]), entryStride: integerStride, rows: t.rows, sums: unsafe.Pointer(&tiles.sums[0]),
	}
	s.tileI8.values(&tiles.value)
}
