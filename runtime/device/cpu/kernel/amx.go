package kernel

import (
	"unsafe"

	"llmc/engine/layout"
)

// Sets with AMX multiply rows as tiles: 16 rows of 64 bytes. Rows are packed as tiles first, a block of them at a time, and kernels take all rows
// of the block for several panels in one call, because configuring the tiles takes as long as multiplying a few.

const (
	amxRows  = 16
	amxRow   = 64 // bytes
	amxBytes = amxRows * amxRow

	// packedBytes bounds a block of packed rows: they stay in the second-level cache.
	packedBytes = 512 << 10
	// callProducts and callBytes bound what one call multiplies and reads: some tenths of a millisecond.
	callProducts, callBytes = 1 << 30, 4 << 20
	// stagedRows is how many rows pass through scratch memory together where results are not stored at once.
	stagedRows = 64
)

// amxKernel multiplies by tiles what linearKernels multiply row by row.
type amxKernel struct {
	minRows  int // fewer rows are left to linearKernels: these give the same bits, or minRows is 1
	multiply func(a *amxArgs)
	expand   func(a *expandArgs) // of formats whose panels have to be expanded to be tiles, else nil
	// pack writes a row of blocks of 64 bytes a digit to its place in tiles; next is the distance of blocks.
	pack func(dst, src unsafe.Pointer, blocks, next int)
}

// amxTable has the kernels of one kind by the length of groups, 32 k or more, and by the digits of x.
type amxTable struct{ short, whole [maxDigits + 1]amxKernel }

// amxArgs is what a tile kernel needs: a block of rows, packed as tiles, and panels. Assembly reads the fields by name (go_asm.h); it changes
// those that are not pointers, panel and y.
type amxArgs struct {
	panel              unsafe.Pointer // of the weight, or expanded
	panelBytes, panels int
	scaleOffset        int            // u8: of a panel's 32 scales in it
	x                  unsafe.Pointer // tiles
	rows               int
	entry              unsafe.Pointer // u8: row 0's Entry of the first segment; rows are xStride apart
	xStride            int
	y                  unsafe.Pointer // f32: row 0, first output of the first panel
	yStride            int
	sums               unsafe.Pointer // [4] tiles
	// A segment has steps tiles of K (u4: groups); the last one of the call has lastSteps.
	segments, steps, lastSteps int

	// u4: the scales of each group, [groups, 32] of the outputs and [tiles of rows, groups, 16] of the rows; tiles of K in a group.
	scales, rowScales unsafe.Pointer
	chunks            int

	//lint:ignore U1000 assembly keeps here what it has no registers for
	adding, half int
	//lint:ignore U1000 likewise
	entryAt, xAt, rowScaleAt uintptr
}

// expandArgs is a panel of 4-bit codes and where its signed bytes and scales go.
type expandArgs struct {
	panel, zeros                       unsafe.Pointer
	dst, scales                        unsafe.Pointer
	groups, groupSteps, lastGroupSteps int
}

// amxScratch is one worker's memory for tile kernels. It grows to what the largest product needs.
type amxScratch struct {
	args      amxArgs
	expansion expandArgs
	sums      []byte    // [4] tiles
	packed    []byte    // rows as tiles
	rowScales []float32 // [tiles of rows, groups, 16]
	panels    [2][]byte // expanded
	scales    [2][]float32
	staged    []float32 // [stagedRows, 2*Lanes]
}

// amxProduct is a product being computed by tiles.
type amxProduct struct {
	*amxKernel
	set       *Set
	sc        *amxScratch
	w         *Matrix
	x         *Rows
	pairRows  int // rows of x that follow each other in packed tiles before K does
	pairBytes int // of them
	first     int // row of the block
	rows      int // in the block
}

// tiles returns the product of w and x by tiles, if that is how rows rows are best multiplied.
func (s *Set) tiles(sc *Scratch, w *Matrix, x *Rows, rows int) (p amxProduct, ok bool) {
	table := &s.amx[w.kind].whole
	if w.Group == 32 {
		table = &s.amx[w.kind].short
	}
	k := &table[x.Digits]
	if k.multiply == nil || rows < k.minRows {
		return amxProduct{}, false
	}
	p = amxProduct{amxKernel: k, set: s, sc: &sc.amx, w: w, x: x, pairRows: amxRows}
	if w.Group == 0 {
		p.pairRows = 2 * amxRows / x.Digits
		p.pairBytes = 2 * amxBytes * p.blocks()
	} else {
		p.pairBytes = amxRows * x.Digits * w.Groups() * w.Group
	}
	p.sc.prepare(&p)
	return p, true
}

// blockK returns the k of a block of 64 bytes a digit.
func (p *amxProduct) blockK() int { return amxRow / p.x.ElementBytes }

// blocks returns how many blocks a row of x has.
func (p *amxProduct) blocks() int { return (p.w.K + p.blockK() - 1) / p.blockK() }

// blockRows returns how many rows are packed together, a multiple of pairRows.
func (p *amxProduct) blockRows() int { return max(1, packedBytes/p.pairBytes) * p.pairRows }

func (sc *amxScratch) prepare(p *amxProduct) {
	if sc.sums == nil {
		const flipped = 4 * amxBytes // kernels find the other half by flipping a bit of the address
		all := make([]byte, 2*flipped)
		skip := -uintptr(unsafe.Pointer(&all[0])) % flipped
		sc.sums = all[skip:][:flipped]
		sc.staged = aligned[float32](stagedRows * 2 * layout.Lanes)
	}
	pairs := p.blockRows() / p.pairRows
	// A last block that is half of what it is packed as goes over the end.
	grow(&sc.packed, pairs*p.pairBytes+2*amxBytes)
	if p.expand == nil {
		return
	}
	grow(&sc.rowScales, pairs*p.w.Groups()*amxRows)
	for i := range sc.panels {
		grow(&sc.panels[i], p.w.Groups()*p.w.Group*layout.Lanes)
		grow(&sc.scales[i], p.w.Groups()*layout.Lanes)
	}
}

// grow makes room for n elements at the start of a cache line.
func grow[T any](s *[]T, n int) {
	if len(*s) < n {
		*s = aligned[T](n)
	}
}

// pack packs rows of x from first on.
func (p *amxProduct) pack(first, rows int) {
	p.first, p.rows = first, rows
	next := amxBytes * p.x.Digits
	if p.w.Group == 0 {
		next = 2 * amxBytes
	}
	place := amxRow // of a row in its tile
	if p.w.Group == 32 {
		place = 32
	}
	missing := p.pairBytes/next - p.blocks() // of a last group that is not whole
	for r := range rows {
		dst := p.sc.packed[r/p.pairRows*p.pairBytes+r%p.pairRows/amxRows*amxBytes+r%amxRows*place:]
		p.amxKernel.pack(unsafe.Pointer(&dst[0]), unsafe.Pointer(&p.x.Data[(first+r)*p.x.Stride]), p.blocks(), next)
		for b := range max(0, missing) {
			for d := range p.x.Digits {
				clear(dst[(p.blocks()+b)*next+d*amxBytes:][:amxRow])
			}
		}
		if p.expand != nil {
			p.packScales(r)
		}
	}
}

// packScales gathers the scales of row r of the block.
func (p *amxProduct) packScales(r int) {
	groups := p.w.Groups()
	entries := p.x.Data[(p.first+r)*p.x.Stride+p.x.EntryOffset():]
	to := p.sc.rowScales[r/amxRows*groups*amxRows+r%amxRows:]
	for g := range groups {
		to[g*amxRows] = *at[float32](unsafe.Pointer(&entries[0]), g*layout.EntryBytes)
	}
}

// expandPanel expands panel number panel into place slot.
func (p *amxProduct) expandPanel(panel, slot int) {
	if p.expand == nil {
		return
	}
	a, w := &p.sc.expansion, p.w
	a.panel, a.zeros = unsafe.Pointer(&w.Data[panel*w.panel]), nil
	if w.Zeros {
		a.zeros = unsafe.Add(a.panel, w.ZeroOffset(0))
	}
	a.dst, a.scales = unsafe.Pointer(&p.sc.panels[slot][0]), unsafe.Pointer(&p.sc.scales[slot][0])
	a.groups, a.groupSteps, a.lastGroupSteps = w.Groups(), w.Group/w.KPerStep, w.GroupK(w.Groups()-1)/w.KPerStep
	p.expand(a)
}

// run multiplies rows rows of the block, from row r on, with panels panels; a panel that is expanded is alone, and lies in place slot.
func (p *amxProduct) run(panel, panels, slot, r, rows int, y unsafe.Pointer, yStride int) {
	a, w := &p.sc.args, p.w
	pair := r / p.pairRows
	a.x, a.rows = unsafe.Pointer(&p.sc.packed[pair*p.pairBytes]), rows
	a.y, a.yStride, a.sums = y, yStride, unsafe.Pointer(&p.sc.sums[0])
	a.segments = w.Segments()
	from, _ := w.SegmentRange(a.segments - 1)
	unit := p.blockK()
	a.panel, a.panelBytes, a.panels = unsafe.Pointer(&w.Data[panel*w.panel]), w.panel, panels
	a.entry, a.xStride = nil, p.x.Stride
	if w.Group > 0 {
		unit = w.Group
		a.chunks = max(1, w.Group/amxRow)
		a.panel, a.scales = unsafe.Pointer(&p.sc.panels[slot][0]), unsafe.Pointer(&p.sc.scales[slot][0])
		a.rowScales = unsafe.Pointer(&p.sc.rowScales[pair*w.Groups()*amxRows])
	} else if w.ScaleBytes > 0 {
		a.scaleOffset = w.ScaleOffset(0)
		a.entry = unsafe.Pointer(&p.x.Data[(p.first+r)*p.x.Stride+p.x.EntryOffset()])
	}
	a.steps, a.lastSteps = w.Segment/unit, (w.K-from+unit-1)/unit
	p.multiply(a)
}

// callPanels returns how many panels one call takes.
func (p *amxProduct) callPanels() int {
	if p.expand != nil {
		return 1
	}
	products := (p.rows + p.pairRows - 1) / p.pairRows * p.pairBytes * layout.Lanes
	return max(1, min(callProducts/products, callBytes/p.w.panel))
}

// linear is Linear by tiles.
func (p *amxProduct) linear(y []float32, ldy, rows, lo, hi int) {
	block := p.blockRows()
	for r0 := 0; r0 < rows; r0 += block {
		p.pack(r0, min(block, rows-r0))
		whole := min(hi, p.w.N/layout.Lanes)
		for panel := lo; panel < whole; {
			n := min(p.callPanels(), whole-panel)
			p.expandPanel(panel, 0)
			out := y[r0*ldy+panel*layout.Lanes:]
			p.run(panel, n, 0, 0, p.rows, unsafe.Pointer(&out[0]), 4*ldy)
			for i := panel; i < panel+n; i++ {
				p.set.addBias(p.w, i, y[r0*ldy+i*layout.Lanes:], ldy, p.rows)
			}
			panel += n
		}
		if whole < hi {
			p.lastPanel(whole, y[r0*ldy+whole*layout.Lanes:], ldy)
		}
	}
}

// lastPanel multiplies with a panel that has fewer outputs than lanes.
func (p *amxProduct) lastPanel(panel int, y []float32, ldy int) {
	width := p.w.N - panel*layout.Lanes
	p.expandPanel(panel, 0)
	for r := 0; r < p.rows; r += stagedRows {
		n := min(stagedRows, p.rows-r)
		p.run(panel, 1, 0, r, n, unsafe.Pointer(&p.sc.staged[0]), 4*layout.Lanes)
		p.set.addBias(p.w, panel, p.sc.staged, layout.Lanes, n)
		for i := range n {
			copy(y[(r+i)*ldy:][:width], p.sc.staged[i*layout.Lanes:])
		}
	}
}

// swiglu is LinearSwiGLU by tiles.
func (p *amxProduct) swiglu(y []float32, ldy, n, rows, lo, hi int) {
	block := p.blockRows()
	for r0 := 0; r0 < rows; r0 += block {
		p.pack(r0, min(block, rows-r0))
		for pair := lo; pair < hi; pair++ {
			width := min(layout.Lanes, n-pair*layout.Lanes)
			p.expandPanel(2*pair, 0)
			p.expandPanel(2*pair+1, 1)
			for r := 0; r < p.rows; r += stagedRows {
				staged := min(stagedRows, p.rows-r)
				p.stagePair(pair, r, staged)
				for i := range staged {
					out := y[(r0+r+i)*ldy+pair*layout.Lanes:][:width]
					gate, up := p.sc.staged[2*i*layout.Lanes:], p.sc.staged[(2*i+1)*layout.Lanes:]
					p.set.row.swiglu(&out[0], &gate[0], &up[0], width)
				}
			}
		}
	}
}

// stagePair computes rows of a pair of panels side by side in scratch memory.
func (p *amxProduct) stagePair(pair, r, rows int) {
	const stride = 2 * layout.Lanes
	if p.expand == nil {
		p.run(2*pair, 2, 0, r, rows, unsafe.Pointer(&p.sc.staged[0]), 4*stride)
	} else {
		for half := range 2 {
			p.run(2*pair+half, 1, half, r, rows, unsafe.Pointer(&p.sc.staged[half*layout.Lanes]), 4*stride)
		}
	}
	for half := range 2 {
		p.set.addBias(p.w, 2*pair+half, p.sc.staged[half*layout.Lanes:], stride, rows)
	}
}
