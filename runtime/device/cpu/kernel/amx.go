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
	// nestedPanelBytes bounds panels of u4n that have been expanded: they stay in the second-level cache beside the rows.
	nestedPanelBytes = 256 << 10
	// fusedPairs is up to how many tiles of rows, in pairs, panels of u4n are expanded for each again.
	fusedPairs = 2
	// stagedRows is how many rows of a pair of panels pass through scratch memory together where results are not stored at once.
	stagedRows = 64
	// gatedRows is that number where the gate takes the rows from there.
	gatedRows = 256
	// expandedPanels is how many panels are expanded together: 16 rows after the other meet all of them.
	expandedPanels = 2 * stagedRows / amxRows
)

// amxKernel multiplies by tiles what linearKernels multiply row by row.
type amxKernel struct {
	minRows  int // fewer rows are left to linearKernels: these give the same bits, or minRows is 1
	multiply func(a *amxArgs)
	few      func(a *amxArgs)    // of up to 16 rows, for tiles as high as these; nil: multiply
	expand   func(a *expandArgs) // of formats whose panels have to be expanded to be tiles, else nil
	fused    func(a *amxArgs)    // of panels of u4n as they are, for few rows
	joined   bool                // expanded to bf16, in which digits are joined; a block of codes is two tiles then
	// pack writes a row of blocks of 64 bytes a digit to its place in tiles; next is the distance of blocks.
	pack func(dst, src unsafe.Pointer, blocks, next int)
}

// amxTable has the kernels of one kind by the length of groups, 32 k or more, and by the digits of x.
type amxTable struct{ short, whole [maxDigits + 1]amxKernel }

// amxArgs is what a tile kernel needs: a block of rows, packed as tiles, and panels. Assembly reads the fields by name (go_asm.h); it changes
// none that is a pointer.
type amxArgs struct {
	panel              unsafe.Pointer // of the weight, or expanded
	panelBytes, panels int
	aheadBytes         int            // of what is prefetched while a panel is multiplied
	ahead              unsafe.Pointer // that, for the first panel
	scaleOffset        int            // u8: of a panel's 32 scales in it
	x                  unsafe.Pointer // tiles
	rows               int
	entry              unsafe.Pointer // u8: row 0's Entry of the first segment; rows are xStride apart
	xStride            int
	y                  unsafe.Pointer // f32: row 0, first output of the first panel
	yStride            int
	sums               unsafe.Pointer // [4] tiles
	config             unsafe.Pointer // of the tiles, where they are not whole
	block              unsafe.Pointer // u4n: [2, 2] tiles
	nestedOffset       int            // u4n: of a panel's steps in it
	// A segment has steps tiles of K (u4: groups); the last one of the call has lastSteps.
	segments, steps, lastSteps int

	// u4: the scales of each group, [groups, 32] of the outputs and [tiles of rows, groups, 16] of the rows; tiles of K in a group.
	scales, rowScales   unsafe.Pointer
	chunks, scalesBytes int

	// Not u4: the parts that a product takes K in, pairs of tiles of rows pairBytes apart, a place for the sums of each between parts, and how many
	// lines of the next panel a step of K asks for.
	parts                            *tilePart
	partCount, pairBytes, aheadLines int
	spill                            unsafe.Pointer // [pairs, 4] tiles

	//lint:ignore U1000 assembly keeps here what it has no registers for
	adding, half, panelsLeft, rowsLeft, partsLeft int
	//lint:ignore U1000 likewise; no pointers, because they go beyond what they point into
	panelAt, yAt, entryAt, xAt, rowScaleAt, scalesAt, pairY, pairEntry, partX, partPanel, nestedAt, aheadAt uintptr
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
	config    tileConfig // of the tiles for few rows
	sums      []byte     // [4] tiles
	block     []byte     // [4] tiles
	parts     []tilePart
	spill     []byte    // [pairs, 4] tiles
	packed    []byte    // rows as tiles
	rowScales []float32 // [tiles of rows, groups, 16]
	panels    []byte    // expanded
	scales    []float32 // of them, [panels, groups, 32]
	staged    []float32 // [gatedRows, 2*Lanes] or [amxRows, expandedPanels*Lanes]
}

// amxProduct is a product being computed by tiles.
type amxProduct struct {
	*amxKernel
	set       *Set
	sc        *amxScratch
	w         *Matrix
	x         *Rows
	fuse      bool // whether panels of u4n are expanded as they are multiplied, else before
	pairRows  int  // rows of x that follow each other in packed tiles before K does
	pairBytes int  // of them
	first     int  // row of the block
	rows      int  // in the block
}

// tileKernel returns the kernel that multiplies w and x by tiles, if that is how rows rows are best multiplied, else nil.
func (s *Set) tileKernel(w *Matrix, x *Rows, rows int) *amxKernel {
	table := &s.amx[w.kind].whole
	if w.Group == 32 {
		table = &s.amx[w.kind].short
	}
	k := &table[x.Digits]
	if k.multiply == nil || rows < k.minRows {
		return nil
	}
	return k
}

// tiles returns the product of w and x by tiles, if that is how rows rows are best multiplied.
func (s *Set) tiles(sc *Scratch, w *Matrix, x *Rows, rows int) (p amxProduct, ok bool) {
	k := s.tileKernel(w, x, rows)
	if k == nil {
		return amxProduct{}, false
	}
	p = amxProduct{amxKernel: k, set: s, sc: &sc.amx, w: w, x: x, pairRows: amxRows}
	if w.Nested {
		p.fuse = rows <= fusedPairs*2*amxRows/x.Digits
	}
	if w.Group == 0 {
		p.pairRows = 2 * amxRows / x.Digits
		p.pairBytes = 2 * amxBytes * p.blocks()
	} else {
		p.pairBytes = amxBytes * x.Digits * w.Groups() * p.groupTiles()
	}
	p.sc.prepare(&p)
	return p, true
}

// unfolds tells whether panels of u4n are expanded before they are multiplied.
func (p *amxProduct) unfolds() bool { return p.w.Nested && !p.fuse }

// groupTiles returns how many tiles of K a group of 4-bit weights is: one of 32 bf16, or one for each 64 bytes.
func (p *amxProduct) groupTiles() int { return max(1, p.w.Group/amxRow) }

// expandedBytes returns the size of a panel that has been expanded.
func (p *amxProduct) expandedBytes() int { return 2 * amxBytes * p.w.Groups() * p.groupTiles() }

// blockK returns the k of a block of 64 bytes a digit.
func (p *amxProduct) blockK() int { return amxRow / p.x.ElementBytes }

// blocks returns how many blocks a row of x has.
func (p *amxProduct) blocks() int { return (p.w.K + p.blockK() - 1) / p.blockK() }

// blockRows returns how many rows are packed together, a multiple of pairRows.
func (p *amxProduct) blockRows() int { return max(1, packedBytes/p.pairBytes) * p.pairRows }

func (sc *amxScratch) prepare(p *amxProduct) {
	if sc.sums == nil {
		const flipped = 4 * amxBytes // kernels find the other half by flipping a bit of the address
		all := make([]byte, 3*flipped)
		skip := -uintptr(unsafe.Pointer(&all[0])) % flipped
		sc.sums, sc.block = all[skip:][:flipped], all[skip+flipped:][:flipped]
		sc.staged = aligned[float32](gatedRows * 2 * layout.Lanes)
	}
	pairs := p.blockRows() / p.pairRows
	// A last block of two groups of which there is one goes over the end.
	grow(&sc.packed, pairs*p.pairBytes+maxDigits*amxBytes)
	if p.unfolds() {
		grow(&sc.panels, max(2, p.callPanels())*p.w.wide.PanelBytes())
	}
	if p.expand == nil {
		grow(&sc.spill, 4*amxBytes*pairs)
		return
	}
	grow(&sc.rowScales, pairs*p.w.Groups()*amxRows)
	grow(&sc.panels, expandedPanels*p.expandedBytes())
	grow(&sc.scales, expandedPanels*p.w.Groups()*layout.Lanes)
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
	switch {
	case p.w.Group == 0:
		next = 2 * amxBytes
	case p.joined:
		next *= 2
	}
	missing := p.pairBytes/next - p.blocks() // of a last group that is not whole
	for r := range rows {
		dst := p.sc.packed[r/p.pairRows*p.pairBytes+r%p.pairRows/amxRows*amxBytes+r%amxRows*amxRow:]
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
	step := float32(1)
	if p.joined && p.x.Digits == 2 { // sums are in steps of the second digit
		step = restStep
	}
	for g := range groups {
		to[g*amxRows] = *at[float32](unsafe.Pointer(&entries[0]), g*layout.EntryBytes) * step
	}
}

// expandPanels expands panels panels from panel on, of formats that need it.
func (p *amxProduct) expandPanels(panel, panels int) {
	if p.unfolds() {
		size := p.w.wide.PanelBytes()
		for i := range panels {
			p.set.expandNested(p.w, p.sc.panels[i*size:][:size], p.w.Data[(panel+i)*p.w.panel:])
		}
		return
	}
	if p.expand == nil {
		return
	}
	a, w := &p.sc.expansion, p.w
	a.groups, a.groupSteps, a.lastGroupSteps = w.Groups(), w.Group/w.KPerStep, w.GroupK(w.Groups()-1)/w.KPerStep
	for i := range panels {
		a.panel, a.zeros = unsafe.Pointer(&w.Data[(panel+i)*w.panel]), nil
		if w.Zeros {
			a.zeros = unsafe.Add(a.panel, w.ZeroOffset(0))
		}
		if w.Levels {
			a.zeros = unsafe.Add(a.panel, w.ScaleOffset(0))
		}
		a.dst, a.scales = unsafe.Pointer(&p.sc.panels[i*p.expandedBytes()]), unsafe.Pointer(&p.sc.scales[i*w.Groups()*layout.Lanes])
		p.expand(a)
	}
}

// run multiplies rows rows of the block, from row r on, with panels panels: of formats that need it those that were expanded last.
func (p *amxProduct) run(panel, panels, r, rows int, y unsafe.Pointer, yStride int) {
	a, w := &p.sc.args, p.w
	pair := r / p.pairRows
	a.x, a.rows = unsafe.Pointer(&p.sc.packed[pair*p.pairBytes]), rows
	a.y, a.yStride, a.sums = y, yStride, unsafe.Pointer(&p.sc.sums[0])
	a.segments = w.Segments()
	from, _ := w.SegmentRange(a.segments - 1)
	unit := p.blockK()
	a.panel, a.panelBytes, a.panels = unsafe.Pointer(&w.Data[panel*w.panel]), w.panel, panels
	a.entry, a.xStride = nil, p.x.Stride
	a.ahead, a.aheadBytes = w.at(min(panel+1, w.Panels()-1)), w.panel
	if w.Group > 0 {
		unit = w.Group
		a.chunks = p.groupTiles()
		a.panel, a.panelBytes = unsafe.Pointer(&p.sc.panels[0]), p.expandedBytes()
		a.scales, a.scalesBytes = unsafe.Pointer(&p.sc.scales[0]), 4*w.Groups()*layout.Lanes
		a.rowScales = unsafe.Pointer(&p.sc.rowScales[pair*w.Groups()*amxRows])
	} else if w.ScaleBytes > 0 && !w.scaled {
		a.scaleOffset = w.ScaleOffset(0)
		if p.fuse {
			a.nestedOffset, a.block = w.NestedOffset(0), unsafe.Pointer(&p.sc.block[0])
		} else if p.unfolds() {
			a.panel, a.panelBytes, a.scaleOffset = unsafe.Pointer(&p.sc.panels[0]), p.w.wide.PanelBytes(), p.w.wide.ScaleOffset(0)
			a.ahead = w.at(min(panel+panels, w.Panels()-1))
		}
		a.entry = unsafe.Pointer(&p.x.Data[(p.first+r)*p.x.Stride+p.x.EntryOffset()])
	}
	a.steps, a.lastSteps = w.Segment/unit, (w.K-from+unit-1)/unit
	if p.expand == nil {
		p.cutSteps(rows)
	}
	if p.few != nil && rows <= amxRows {
		p.sc.config.set(rows, amxRow, amxRows)
		a.config = unsafe.Pointer(&p.sc.config)
		p.few(a)
		return
	}
	if p.fuse {
		p.fused(a)
		return
	}
	p.multiply(a)
}

// tileConfig is what tiles are configured by (Software Developer's Manual, volume 1, "Tile Configuration").
type tileConfig [64]byte

// set makes the tiles of A and of sums rows rows high; those of A have rows of aBytes bytes, those of B bRows rows.
func (c *tileConfig) set(rows, aBytes, bRows int) {
	const palette, columnBytes, heights, tiles, firstA, firstB = 0, 16, 48, 8, 4, 6
	c[palette] = 1
	for tile := range tiles {
		c[columnBytes+2*tile], c[heights+tile] = amxRow, uint8(rows)
		switch {
		case tile >= firstB:
			c[heights+tile] = uint8(bRows)
		case tile >= firstA:
			c[columnBytes+2*tile] = uint8(aBytes)
		}
	}
}

// callPanels returns how many panels one call takes.
func (p *amxProduct) callPanels() int {
	if p.expand != nil {
		return expandedPanels
	}
	if p.unfolds() {
		return max(1, nestedPanelBytes/p.w.wide.PanelBytes())
	}
	products := (p.rows + p.pairRows - 1) / p.pairRows * p.pairBytes * layout.Lanes
	return max(1, min(callProducts/products, callBytes/p.w.panel))
}
