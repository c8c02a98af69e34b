package kernel

import (
	"unsafe"

	"llmc/engine/layout"
)

// attendTile is up to mostRows rows against one split.
type attendTile struct {
	*Attention
	q         *Queries
	head      int
	base      int // first position of the split
	row, rows int
	query     int  // index of row in the block that was loaded
	leads     bool // the first tile of the split: it finds nothing in the caches
	tiles     bool // multiplied on AMX tiles
	seen      []seenSpan
}

// seenSpan is the positions [lo, hi) that a row sees, counted from the split's start; begins tells that it sees none before.
type seenSpan struct {
	lo, hi int
	begins bool
}

// see notes what each row of a tile sees: rows are asked often, and dividing for it takes as long as many products.
func (sc *attendScratch) see(t *attendTile) {
	group := t.group()
	token, rest := t.row/group, group-t.row%group
	seen := sc.seen[:t.rows]
	for i := range seen {
		if i == 0 || rest == 0 {
			if i > 0 {
				token, rest = token+1, group
			}
			lo, hi := t.tokenSees(t.q, token)
			seen[i] = seenSpan{max(lo-t.base, 0), min(hi-t.base, SplitLength), lo >= t.base}
		} else {
			seen[i] = seen[i-1]
		}
		rest--
	}
	t.seen = seen
}

// visible returns the positions that row i of the tile sees, counted from the split's start.
func (t *attendTile) visible(i int) (lo, hi int) {
	if t.seen != nil {
		return t.seen[i].lo, t.seen[i].hi
	}
	lo, hi = t.Attention.visible(t.q, t.row+i)
	return max(lo-t.base, 0), min(hi-t.base, SplitLength)
}

// seenPanels returns visible's positions, rounded outwards to whole panels.
func (t *attendTile) seenPanels(i int) (lo, hi int) {
	lo, hi = t.visible(i)
	return lo &^ (panelPositions - 1), (hi + panelPositions - 1) &^ (panelPositions - 1)
}

// begins tells whether no row of the tile, nor one behind it, sees anything before the split.
func (t *attendTile) begins() bool {
	return t.seen[0].begins
}

// span returns the positions that any row of the tile sees.
func (t *attendTile) span() (lo, hi int) {
	lo, _ = t.visible(0)
	_, hi = t.visible(t.rows - 1)
	return lo, hi
}

// locate finds the panels of keys, the values and the scales of the positions that the tile sees, and what lies a split further.
func (s *Set) locate(sc *attendScratch, t *attendTile) {
	lo, hi := t.span()
	most := t.end(t.q) // positions from here on need no memory ahead
	pages := t.pages()
	at := locator{k: pages.K(t.head, 0, 0), v: pages.V(t.head, 0, 0), kPanel: pages.KPanelBytes(), vPanel: panelPositions / pages.Pack() * pages.VRowBytes()}
	kScale, vScale := 0, 0
	if t.Scaled() {
		kScale, vScale = pages.KScale(t.head, 0), pages.VScale(t.head, 0)
	}
	for i := lo / panelPositions; i*panelPositions < hi; i++ {
		span, panel := t.panel(t.base + i*panelPositions)
		p := scorePanel{k: at.key(span, panel), v: at.value(span, panel)}
		p.ahead = p.v
		if next := t.base + i*panelPositions + SplitLength; next < most {
			p.ahead = at.key(t.panel(next))
		}
		if t.Scaled() {
			p.scales = unsafe.Add(span, kScale+panel*panelPositions*scaleBytes)
			p.valueScales = unsafe.Add(span, vScale+panel*panelPositions*scaleBytes)
		}
		sc.panels[i] = p
	}
	// Kernels that take two panels may read one that nobody sees.
	if i := lo / panelPositions; i%2 == 1 {
		sc.panels[i-1] = sc.panels[i]
	}
	if i := (hi - 1) / panelPositions; i%2 == 0 {
		sc.panels[i+1] = sc.panels[i]
	}
}

// openPanels makes codes of i8 of those that share bytes, for the panels that the tile sees.
func (s *Set) openPanels(sc *attendScratch, t *attendTile) {
	pages := t.pages()
	keys, row := pages.KPanelBytes(), pages.VRowBytes()
	rows, wide := panelPositions/t.Pack(), t.VRowBytes()
	size := 2*keys + rows*wide + layout.Align // the last line of values may have no upper half
	grow(&sc.panelCodes, SplitLength/panelPositions*size)
	lo, hi := t.span()
	for i := lo / panelPositions; i*panelPositions < hi; i++ {
		p := &sc.panels[i]
		to := unsafe.Pointer(&sc.panelCodes[i*size])
		s.row.openU4(to, p.k, keys/layout.Align, p.v)
		p.k = to
		if t.Rank > 0 {
			continue
		}
		to = unsafe.Add(to, 2*keys)
		if from := p.v; 2*row == wide {
			s.row.openU4(to, from, rows*row/layout.Align, p.ahead)
		} else {
			for r := range rows {
				s.row.openU4(unsafe.Add(to, r*wide), unsafe.Add(from, r*row), row/layout.Align, unsafe.Add(p.ahead, r*row))
			}
		}
		p.v = to
		p.ahead = to
	}
}

// scaleBytes is the size of a scale of codes.
const scaleBytes = 2

// locator is where a head's keys and values lie in a span, and the sizes of 16 positions of them.
type locator struct{ k, v, kPanel, vPanel int }

func (l *locator) key(span unsafe.Pointer, panel int) unsafe.Pointer {
	return unsafe.Add(span, l.k+panel*l.kPanel)
}

func (l *locator) value(span unsafe.Pointer, panel int) unsafe.Pointer {
	return unsafe.Add(span, l.v+panel*l.vPanel)
}

// panel returns the span that holds a position, the first of a panel, and which panel of it that is.
func (t *attendTile) panel(position int) (span unsafe.Pointer, panel int) {
	block, at := t.Span(t.Slot(t.q, position))
	return unsafe.Pointer(&block[0]), at / panelPositions
}
