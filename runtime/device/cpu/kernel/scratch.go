package kernel

import (
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// Scratch is the memory that one worker's kernel calls need besides their operands. Calls of different workers need different ones.
type Scratch struct {
	linear     linearArgs
	lowRank    linearArgs
	inputs     []float32 // [maxTile, lowRankSegment], of an adapter
	tile       []float32 // [maxTile, 2*Lanes]
	group      []float32 // [maxTile, Lanes], of a group of k with scales of its own
	widePanels []byte    // two panels
	wideRows   []byte    // a block of rows
	rows       Rows      // the block as kernels read it
	first      int       // row of the block
	words      wordScratch
	sums       []byte // of groups of a block of rows
	open       openScratch
	amx        amxScratch
	attend     attendScratch
	store      storeScratch
	convolve   convolveArgs
	scan       scanArgs
}

// NewScratch returns scratch for attention with heads of up to headDim channels.
func NewScratch(headDim int) *Scratch {
	return &Scratch{tile: aligned[float32](maxTile * 2 * layout.Lanes), attend: newAttendScratch(headDim)}
}

// aligned allocates n numbers at the start of a cache line: vectors that cross lines take twice as long to store.
func aligned[T any](n int) []T {
	size := int(unsafe.Sizeof(*new(T)))
	all := make([]T, n+layout.Align/size)
	skip := -uintptr(unsafe.Pointer(&all[0])) % layout.Align / uintptr(size)
	return all[skip : int(skip)+n : int(skip)+n]
}

// mostRows is the most rows of a tile of attention.
const mostRows = max(maxTile, tileRowsI8, tileQueries)

// scoreStride is the distance of the scores of two rows: a line more than they take, or the same positions of many rows would share few sets of the first cache.
const scoreStride = SplitLength + panelPositions

// attendRows is the number of query rows that walk through the cache together.
const attendRows = 8 * maxTile

// attendScratch holds one worker's state of attention.
type attendScratch struct {
	score        scoreArgs
	value        valueArgs
	integerValue integerValueArgs
	tiles        tileI8Scratch
	panels       [SplitLength / panelPositions]scorePanel
	runs         [SplitLength/panelPositions + 2]valueRun // panels, and pairs at both ends
	tilesBF16    tileAttendScratch
	factors      []float32 // [2, mostRows]
	scores       []float32 // [mostRows, scoreStride]
	probs        []uint16  // [mostRows, SplitLength], where weights are rounded
	valueScales  []float32 // [SplitLength], of codes
	words        [mostRows]wordRange
	seen         [mostRows]seenSpan
	integers     []byte // [mostRows] rows of SplitLength weights as integers and their entry
	queries      []byte // [attendRows] rows of bf16 for a cache of bf16, of integers and their entry for i8 and i16, else of f32, padded with zeros
	queryStride  int
	pairs        [2][]uint32 // [DimV]: see half
	query        []float32   // [Dim], put together of its parts, or turned
	layer        Attention   // see opened
	panelCodes   []byte      // keys and values of a split as codes of i8, of codes that share bytes
	latent       []byte      // the values of a split, of a latent cache
	part, state  []float32   // [attendRows] parts
}

func newAttendScratch(dim int) attendScratch {
	widest := layout.KV{DType: dtype.I8, Dim: dim}
	size := partHead + widest.DimV()
	return attendScratch{
		scores:      aligned[float32](mostRows * scoreStride),
		probs:       aligned[uint16](mostRows * SplitLength),
		valueScales: aligned[float32](SplitLength),
		integers:    aligned[byte](mostRows * integerStride),
		queries:     aligned[byte](attendRows * (4*widest.DimV() + entryBytes)),
		factors:     aligned[float32](2 * mostRows),
		pairs:       [2][]uint32{aligned[uint32](widest.DimV()), aligned[uint32](widest.DimV())},
		part:        aligned[float32](attendRows * size),
		state:       aligned[float32](attendRows * size),
	}
}

// weight returns where the softmax weights of row i of a tile are kept.
func (sc *attendScratch) weight(kind, i int) unsafe.Pointer {
	if kind == kvBF16 {
		return unsafe.Pointer(&sc.probs[i*SplitLength])
	}
	return unsafe.Pointer(&sc.scores[i*scoreStride])
}

// queryRow returns the query of a row.
func (sc *attendScratch) queryRow(a *Attention, q *Queries, head, r int) []float32 {
	g := a.group()
	token, at := r/g, head*g+r%g
	if q.Rope == nil {
		return q.Q[token*q.LDQ+at*a.Dim:][:a.Dim]
	}
	rope := a.Dim - a.Rank
	grow(&sc.query, a.Dim)
	copy(sc.query[:a.Rank], q.Q[token*q.LDQ+at*a.Rank:][:a.Rank])
	copy(sc.query[a.Rank:a.Dim], q.Rope[token*q.LDRope+at*rope:][:rope])
	return sc.query[:a.Dim]
}

// load converts query rows [r, r+n) of a KV head to the form that the cache's kernels multiply.
func (sc *attendScratch) load(s *Set, a *Attention, q *Queries, head, r, n int) {
	if a.Dim > len(sc.pairs[0]) {
		panic("kernel: the scratch was made for smaller heads")
	}
	size := 4
	sc.queryStride = a.DimK() * size
	switch a.kind() {
	case kvBF16:
		size = 2
		sc.queryStride = a.DimK() * size
	case kvI8, kvI16:
		sc.queryStride = (a.Dim+panelPositions-1)&^(panelPositions-1)*integerBytes + entryBytes
	}
	for i := range n {
		x := sc.queryRow(a, q, head, r+i)
		if a.block > 1 {
			grow(&sc.query, a.Dim)
			s.Hadamard(sc.query[:a.Dim], x, a.block)
			x = sc.query[:a.Dim]
		}
		row := sc.queries[i*sc.queryStride : (i+1)*sc.queryStride]
		switch a.kind() {
		case kvI8:
			s.digitRow(row, x, sc.queryStride-entryBytes)
			continue
		case kvI16:
			s.wordRow(row, x, s.rangeOf(x), sc.queryStride-entryBytes)
			continue
		case kvBF16:
			s.row.toBF16((*uint16)(unsafe.Pointer(&row[0])), &x[0], a.Dim)
		case kvE4M3:
			s.fold.scale((*float32)(unsafe.Pointer(&row[0])), &x[0], a.Dim, smallE4M3)
		default:
			copy(row, bytesOf(x))
		}
		clear(row[a.Dim*size:])
	}
}
