package kernel

import (
	"fmt"
	"unsafe"

	"llmc/engine/layout"
)

// LowRank is what an adapter adds to a product: y += B * (A * x), both in f32, the adapter's scale in B. A's ranks and B's outputs lie in panels of
// 32 lanes, as those of the layout f32 do, and are multiplied by its kernels.
type LowRank struct {
	K, N, Rank int
	a          []float32 // [panels of ranks][K][Lanes]
	b          []float32 // [panels of outputs][Rank][Lanes]
	// from and to are, by panel of outputs, the ranks that have a number other than zero there: a product that was fused of several has ranks for each.
	from, to []int
}

// lowRankSegment is the k of A whose sums are added up apart, so that workers can share the product of few rows. The order of sums depends on nothing else.
const lowRankSegment = 1024

// NewLowRank returns the product of a [panels of ranks, k, 32] and b [panels of outputs, rank, 32], which it keeps.
func NewLowRank(k, n, rank int, a, b []byte) (*LowRank, error) {
	l := &LowRank{K: k, N: n, Rank: rank}
	if k < 1 || n < 1 || rank < 1 {
		return nil, fmt.Errorf("a product of %d inputs, rank %d and %d outputs", k, rank, n)
	}
	outputs := (n + layout.Lanes - 1) / layout.Lanes
	if len(a) != 4*l.PaddedRank()*k || len(b) != 4*outputs*layout.Lanes*rank {
		return nil, fmt.Errorf("%d and %d bytes for a product of %d inputs, rank %d and %d outputs", len(a), len(b), k, rank, n)
	}
	l.a = unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(a))), len(a)/4)
	l.b = unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
	l.from, l.to = make([]int, outputs), make([]int, outputs)
	for p := range outputs {
		panel := l.b[p*rank*layout.Lanes:][:rank*layout.Lanes]
		first, last := 0, len(panel)
		for first < last && panel[first] == 0 {
			first++
		}
		for first < last && panel[last-1] == 0 {
			last--
		}
		l.from[p], l.to[p] = first/layout.Lanes, (last+layout.Lanes-1)/layout.Lanes
	}
	return l, nil
}

// PaddedRank is the numbers of a row of A * x, padding included.
func (l *LowRank) PaddedRank() int { return (l.Rank + layout.Lanes - 1) / layout.Lanes * layout.Lanes }

// Segments is the number of parts of A * x.
func (l *LowRank) Segments() int { return LowRankSegments(l.K) }

// LowRankSegments is the number of parts of a product with k inputs.
func LowRankSegments(k int) int { return (k + lowRankSegment - 1) / lowRankSegment }

// Down computes parts [from, to) of A * x of rows [first, first+rows), added up in order: PaddedRank numbers a row, ld apart. The whole is the sum
// of the parts in order, however they are asked for.
func (s *Set) Down(sc *Scratch, l *LowRank, x *Rows, first, rows, from, to int, dst []float32, ld int) {
	if rows == 0 || from >= to {
		return
	}
	if x.K != l.K || (first+rows-1)*x.Stride+x.Bytes() > len(x.Data) {
		panic("kernel: rows beyond the operand")
	}
	_ = dst[(rows-1)*ld+l.PaddedRank()-1]
	k, a := &s.linear[kindF32][1], &sc.lowRank
	t := firstTile(rows, k.tile)
	for ; t.n > 0; t.next() {
		for segment := from; segment < to; segment++ {
			lo, hi := segment*lowRankSegment, min(l.K, (segment+1)*lowRankSegment)
			a.x, a.xStride = sc.widened(x, first+t.row, t.n, lo, hi)
			a.add = min(1, segment-from)
			for p := 0; p < l.PaddedRank(); p += layout.Lanes {
				a.multiply(k, t.n, unsafe.Pointer(&l.a[p*l.K+lo*layout.Lanes]), hi-lo, &dst[t.row*ld+p], ld)
			}
		}
	}
}

// widened returns where columns [lo, hi) of n rows lie as f32, and the bytes between rows.
func (sc *Scratch) widened(x *Rows, first, n, lo, hi int) (at unsafe.Pointer, stride int) {
	if x.Name == "f32" {
		return unsafe.Pointer(&x.Data[first*x.Stride+4*lo]), x.Stride
	}
	grow(&sc.inputs, maxTile*lowRankSegment)
	for i := range n {
		x.widen(sc.inputs[i*lowRankSegment:][:hi-lo], first+i, lo)
	}
	return unsafe.Pointer(&sc.inputs[0]), 4 * lowRankSegment
}

// multiply multiplies n rows at a.x with steps steps of a panel of f32.
func (a *linearArgs) multiply(k *linearKernels, n int, panel unsafe.Pointer, steps int, y *float32, ldy int) {
	a.panel, a.following, a.ahead, a.aheadStep = panel, panel, uintptr(panel), 0
	a.panelBytes, a.panelSteps = 4*layout.Lanes*steps, steps
	a.segments, a.steps, a.lastSteps = 1, steps, steps
	a.y, a.yStride = unsafe.Pointer(y), 4*ldy
	k.rows[n](a)
}

// Added is what adapters add to rows of a product. A worker has its own.
type Added struct {
	Runs []AddedRun // ascending
	args linearArgs
}

// AddedRun is rows [First, End) of a product and what is added to them.
type AddedRun struct {
	First, End int
	*LowRank
	Down []float32 // A * x of these rows, LD numbers apart
	LD   int
}

// add adds its part to rows rows of panel p's outputs, of which y holds all lanes; the first is row r of the product.
func (d *Added) add(s *Set, p, r int, y []float32, ldy, rows int) {
	k := &s.linear[kindF32][1]
	for i := range d.Runs {
		run := &d.Runs[i]
		first, end := max(r, run.First), min(r+rows, run.End)
		from, to := run.from[p], run.to[p]
		if first >= end || from >= to {
			continue
		}
		a := &d.args
		a.xStride, a.add = 4*run.LD, 1
		panel := unsafe.Pointer(&run.b[(p*run.Rank+from)*layout.Lanes])
		t := firstTile(end-first, k.tile)
		for ; t.n > 0; t.next() {
			row := first + t.row
			a.x = unsafe.Pointer(&run.Down[(row-run.First)*run.LD+from])
			a.multiply(k, t.n, panel, to-from, &y[(row-r)*ldy], ldy)
		}
	}
}
