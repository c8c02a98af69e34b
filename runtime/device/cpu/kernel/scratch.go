package kernel

import (
	"unsafe"

	"llmc/engine/layout"
)

// Scratch is the memory that one worker's kernel calls need besides their operands. Calls of different workers need different ones.
type Scratch struct {
	linear linearArgs
	tile   []float32 // [maxTile, 2*Lanes]
	amx    amxScratch
	attend attendScratch
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

// attendRows is the number of query rows that walk through the cache together.
const attendRows = 8 * maxTile

// attendScratch holds one worker's state of attention.
type attendScratch struct {
	score       scoreArgs
	value       valueArgs
	runs        [SplitLength / panelPositions]valueRun
	tiles       tileAttendScratch
	factors     []float32 // [2, tileQueries]
	scores      []float32 // [maxTile, SplitLength]
	probs       []uint16  // [maxTile, SplitLength], where weights are rounded
	queries     []byte    // [attendRows] rows in the cache's element type, padded with zeros
	queryStride int
	pair        []uint32  // [DimV]
	part, state []float32 // [attendRows] parts
}

func newAttendScratch(dim int) attendScratch {
	widest := layout.KV{Dim: dim}
	size := partHead + widest.DimV()
	return attendScratch{
		scores:  aligned[float32](maxTile * SplitLength),
		probs:   aligned[uint16](maxTile * SplitLength),
		queries: aligned[byte]((attendRows + tileQueries) * 4 * widest.DimK()), // a tile may be read beyond its rows
		factors: aligned[float32](2 * tileQueries),
		pair:    aligned[uint32](widest.DimV()),
		part:    aligned[float32](attendRows * size),
		state:   aligned[float32](attendRows * size),
	}
}

// weight returns where the softmax weights of row i of a tile are kept.
func (sc *attendScratch) weight(kind, i int) unsafe.Pointer {
	if kind == kvBF16 {
		return unsafe.Pointer(&sc.probs[i*SplitLength])
	}
	return unsafe.Pointer(&sc.scores[i*SplitLength])
}

// load converts query rows [r, r+n) of a KV head to the cache's element type.
func (sc *attendScratch) load(s *Set, a *Attention, q *Queries, head, r, n int) {
	if a.Dim > len(sc.pair) {
		panic("kernel: the scratch was made for smaller heads")
	}
	g := a.group()
	sc.queryStride = a.DimK() * a.DType.Size()
	for i := range n {
		x := q.Q[(r+i)/g*q.LDQ+(head*g+(r+i)%g)*a.Dim:][:a.Dim]
		row := sc.queries[i*sc.queryStride : (i+1)*sc.queryStride]
		if a.kind() == kvF32 {
			copy(row, bytesOf(x))
		} else {
			s.row.toBF16((*uint16)(unsafe.Pointer(&row[0])), &x[0], a.Dim)
		}
		clear(row[a.Dim*a.DType.Size():])
	}
}
