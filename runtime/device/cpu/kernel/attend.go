package kernel

import (
	"unsafe"

	"llmc/engine/layout"
)

// Attention describes one layer of paged attention. Slots of the pool count positions through all its pages. KV is a span of the layer: KV.PageSize slots, whole
// pages, that lie together. Span i starts at Pool[i*Stride+Offset].
type Attention struct {
	layout.KV
	QueryHeads int       // a multiple of KV.Heads; query heads of a KV head are neighbours
	Scale      float32   // of the scores
	Window     int       // a token sees the last Window positions, itself included; 0: all
	Ahead      int       // a token sees so many positions behind its own, of those that the sequence has; not with ALiBi
	Chunk      int       // a token sees its own one of chunks of so many positions; 0: all
	Softcap    float32   // scores become Softcap*tanh(score/Softcap); 0: off
	ALiBi      []float32 // [QueryHeads] times position - query's is added to scores; nil: nothing
	Relative   *Relative // added to scores by the distance of positions; nil: nothing
	Sinks      []float32 // [QueryHeads] scores of no value, which join the sum of the softmax; nil: none
	Pool       []byte
	Page       int // positions of a page; KV.PageSize is a multiple
	Stride     int
	Offset     int

	stored layout.KV // of rows that are turned: pages, where KV is what kernels make of them
	block  int       // of the Hadamard matrices that such rows are multiplied with; 0: others
}

// Queries are consecutive tokens of one sequence.
type Queries struct {
	Q      []float32 // [Tokens, QueryHeads*Dim], rows LDQ numbers apart; with Rope the first Rank channels of each head alone
	Rope   []float32 // [Tokens, QueryHeads*(Dim-Rank)], what follows them, rows LDRope numbers apart; nil: Q has whole queries
	Out    []float32 // [Tokens, QueryHeads*Values()], LDOut apart
	LDQ    int
	LDRope int
	LDOut  int
	Tokens int
	First  int     // position of the first token
	Length int     // positions that the sequence has; read where layers look ahead
	Pages  []int32 // page table of the sequence
}

// Span returns the span that has the slot, from the layer's part on, and where in it that is.
func (a *Attention) Span(slot int) (span []byte, at int) {
	i := slot / a.PageSize
	return a.Pool[i*a.Stride+a.Offset : (i+1)*a.Stride], slot - i*a.PageSize
}

// Slot returns the slot of a position.
func (a *Attention) Slot(q *Queries, position int) int {
	page := position / a.Page
	return int(q.Pages[page])*a.Page + position - page*a.Page
}

// Rows returns the number of query rows of one KV head: row r is token r/group, query head head*group + r%group.
func (a *Attention) Rows(q *Queries) int { return q.Tokens * a.group() }

func (a *Attention) group() int { return a.QueryHeads / a.Heads }

// out returns where the result of row r of a KV head goes.
func (q *Queries) out(a *Attention, head, r int) []float32 {
	g := a.group()
	return q.Out[r/g*q.LDOut+(head*g+r%g)*a.Values():][:a.Values()]
}

// visible returns the positions [lo, hi) that row r sees.
func (a *Attention) visible(q *Queries, r int) (lo, hi int) { return a.tokenSees(q, r/a.group()) }

// tokenSees returns the positions [lo, hi) that a token sees.
func (a *Attention) tokenSees(q *Queries, token int) (lo, hi int) {
	hi = q.First + token + 1
	if a.Window > 0 {
		lo = max(0, hi-a.Window)
	}
	if a.Chunk > 0 {
		lo = max(lo, (hi-1)/a.Chunk*a.Chunk)
	}
	if a.Ahead > 0 {
		hi = min(hi+a.Ahead, q.Length)
	}
	return lo, hi
}

// end returns the position behind the last one that any token of q sees.
func (a *Attention) end(q *Queries) int {
	_, hi := a.visible(q, a.Rows(q)-1)
	return hi
}

func (a *Attention) kind() int { return kvKind(a.KV) }

// pages describes what lies in memory.
func (a *Attention) pages() layout.KV {
	if a.block > 0 {
		return a.stored
	}
	return a.KV
}

// opened is the layer as kernels see it.
func (sc *attendScratch) opened(a *Attention) *Attention {
	f := scaledFormats[a.DType]
	if f == nil || !f.Turned {
		return a
	}
	sc.layer = *a
	sc.layer.stored, sc.layer.KV = a.KV, a.KV.Opened()
	sc.layer.block = f.Block(a.Dim, a.Rank)
	return &sc.layer
}

// integers tells whether keys and values are multiplied as integers.
func (a *Attention) integers() bool { return a.kind() == kvI8 || a.kind() == kvI16 }

// Splits returns the splits [lo, hi) that rows [first, last] of q see.
func (a *Attention) Splits(q *Queries, first, last int) (lo, hi int) {
	from, _ := a.visible(q, first)
	_, to := a.visible(q, last)
	return from / SplitLength, (to + SplitLength - 1) / SplitLength
}

// Attend computes softmax(Q K^T * Scale) V for rows [lo, hi) of one KV head. A row's result depends only on its query and on the positions
// that it sees: not on the other rows, nor on what lies in slots that it does not see.
func (s *Set) Attend(sc *Scratch, a *Attention, q *Queries, head, lo, hi int) {
	a = sc.attend.opened(a)
	for r := lo; r < hi; r += attendRows {
		n := min(attendRows, hi-r)
		s.attendBlock(sc, a, q, head, r, n)
		if last := r + n - 1; r/a.group() != last/a.group() && !a.integers() {
			s.repair(sc, a, q, head, r, n)
		}
	}
}

// attendBlock is Attend for up to attendRows rows from r on.
func (s *Set) attendBlock(sc *Scratch, a *Attention, q *Queries, head, r, n int) {
	sc.attend.load(s, a, q, head, r, n)
	from, to := a.Splits(q, r, r+n-1)
	for split := from; split < to; split++ {
		s.attendSplit(&sc.attend, a, q, head, split, r, n, sc.attend.part, sc.attend.state)
	}
	for i := range n {
		s.finish(a, q, head, r+i, sc.attend.state[i*a.PartFloats():])
	}
}

// PartFloats returns the size of what AttendSplits stores for one row.
func (a *Attention) PartFloats() int { return partHead + a.DimV() }

// partHead is where the sums start in a part: part[0] is the largest score, part[1] the sum of the weights.
const partHead = 16

// AttendSplits computes the contributions of splits [from, to) to rows [lo, hi): parts has PartFloats numbers a row, those of the next split step numbers further. Rows
// that do not see a split are left alone. With Finish it is Attend for workers that share a long sequence; the bits are the same.
func (s *Set) AttendSplits(sc *Scratch, a *Attention, q *Queries, head, from, to, lo, hi int, parts []float32, step int) {
	a = sc.attend.opened(a)
	size := a.PartFloats()
	for r := lo; r < hi; r += attendRows {
		n := min(attendRows, hi-r)
		sc.attend.load(s, a, q, head, r, n)
		for split := from; split < to; split++ {
			s.attendSplit(&sc.attend, a, q, head, split, r, n, parts[(split-from)*step+(r-lo)*size:], nil)
		}
	}
}

// Finish adds up the parts of row r, in the order of splits, and stores the result. Split i's part starts at parts[i*step]; i counts from
// the first split that any row sees (Splits of the rows that were asked for, given as from).
func (s *Set) Finish(sc *Scratch, a *Attention, q *Queries, head, r, from int, parts []float32, step int) {
	a = sc.attend.opened(a)
	lo, hi := a.visible(q, r)
	size := a.PartFloats()
	state := sc.attend.state[:size]
	for split := lo / SplitLength; split*SplitLength < hi; split++ {
		part := parts[(split-from)*step:][:size]
		sc.attend.factor(0, state, part)
		s.row.exp(&sc.attend.factors[0], &sc.attend.factors[0], 2)
		s.foldPart(state, part, sc.attend.factors, split == lo/SplitLength)
	}
	s.finish(a, q, head, r, state)
}

// finish divides the weighted sum of values by the sum of weights.
func (s *Set) finish(a *Attention, q *Queries, head, r int, state []float32) {
	sum := state[1]
	if a.Sinks != nil {
		g := a.group()
		sum += exp32(a.Sinks[head*g+r%g] - state[0])
	}
	out := q.out(a, head, r)
	s.fold.scale(&out[0], &state[partHead], a.Values(), 1/sum)
	if a.block > 1 {
		s.Hadamard(out, out, a.block)
	}
}

// attendSplit computes the parts of rows [r, r+n) that see the split, or folds them into state, where parts is room for a tile's.
func (s *Set) attendSplit(sc *attendScratch, a *Attention, q *Queries, head, split, r, n int, parts, state []float32) {
	base := split * SplitLength
	first, last := r, r+n
	for ; first < last; first++ {
		if _, hi := a.visible(q, first); hi > base {
			break
		}
	}
	for ; last > first; last-- {
		if lo, _ := a.visible(q, last-1); lo < base+SplitLength {
			break
		}
	}
	if first == last {
		return
	}
	all := attendTile{Attention: a, q: q, head: head, base: base, row: first, rows: last - first}
	s.locate(sc, &all)
	if a.pages().Halves() {
		s.openPanels(sc, &all)
	}
	if a.Rank > 0 {
		s.turnLatent(sc, &all)
	}
	size, limit, byTiles, tilesI8 := a.PartFloats(), vectorRows, s.attendsByTiles(a), s.tilesI8(a, last-first)
	switch {
	case byTiles:
		limit = tileQueries
	case tilesI8:
		limit = tileRowsI8
		sc.gatherValues(&all)
	}
	for t, m := first, 0; t < last; t += m {
		m = tileRows(last-t, limit)
		tile := attendTile{Attention: a, q: q, head: head, base: base, row: t, rows: m, query: t - r, leads: t == first, tiles: tilesI8}
		sc.see(&tile)
		part, begins := parts, state != nil && tile.begins()
		switch {
		case begins: // nothing to add to
			part = state[(t-r)*size:]
		case state == nil:
			part = parts[(t-r)*size:]
		}
		if byTiles {
			s.attendTileRows(sc, &tile, part)
		} else {
			s.attendRows(sc, &tile, &all, part)
		}
		if state != nil && !begins {
			s.foldTile(sc, &tile, state[(t-r)*size:], part)
		}
	}
}

// attendRows computes the parts of the tile's rows by vectors, or over i8 by tiles.
func (s *Set) attendRows(sc *attendScratch, t, all *attendTile, part []float32) {
	if t.tiles {
		s.tileScores(sc, t)
	} else {
		s.scores(sc, t)
	}
	if t.leads && t.Scaled() {
		s.loadScales(sc, all)
	}
	s.weights(sc, t, part)
	if t.integers() {
		s.integerValues(sc, t, part)
	} else {
		s.values(sc, t, part)
	}
}

// vectorRows is how many rows vectors take in together.
const vectorRows = 24

// panelsTogether is how many panels stay in the first cache while the tile's rows take them in.
const panelsTogether = 4

// scores fills sc.scores [rows][scoreStride] for the panels that any row sees.
func (s *Set) scores(sc *attendScratch, t *attendTile) {
	k := &s.attend[t.kind()]
	lo, hi := t.span()
	from, to := lo/panelPositions, (hi+panelPositions-1)/panelPositions
	sc.score = scoreArgs{
		qStride: sc.queryStride, outStride: 4 * scoreStride, lines: t.KPanelBytes() / layout.Align,
	}
	if t.leads && !t.pages().Halves() { // the values of a panel's positions lie about as far behind it as those of a page's first behind the first panel
		sc.score.ahead = t.V(0, 0, 0) - t.K(0, 0, 0)
	}
	at := to - from // panels that all rows take in before the next ones
	if t.rows > k.scoreTile {
		at = panelsTogether
	}
	for ; from < to; from += at {
		sc.score.panels = &sc.panels[from]
		for r, n := 0, 0; r < t.rows; r += n {
			n = tileRows(t.rows-r, k.scoreTile)
			sc.score.q = unsafe.Pointer(&sc.queries[(t.query+r)*sc.queryStride])
			if t.integers() {
				sc.score.entry = unsafe.Add(sc.score.q, sc.queryStride-entryBytes)
			}
			sc.score.out = unsafe.Pointer(&sc.scores[r*scoreStride+from*panelPositions])
			sc.score.count = min(at, to-from)
			k.score[n](&sc.score)
		}
	}
}

// weights turns scores into softmax weights, and stores largest score and sum of weights in the parts. Weights of codes are then multiplied with
// the scales of values.
func (s *Set) weights(sc *attendScratch, t *attendTile, part []float32) {
	k := &s.attend[t.kind()]
	for i := range t.rows {
		lo, hi := t.visible(i)
		row, scale := sc.scores[i*scoreStride:], t.Scale
		if t.shaped() {
			s.shape(row[lo:hi], t, i, lo)
			scale = 1
		}
		out := part[i*t.PartFloats():]
		if k.softmax == nil { // weights become words
			w := &sc.words[i]
			out[0], out[1], w.largest, w.total = k.weigh(&row[0], &sc.valueScales[0], lo, hi, scale)
			continue
		}
		out[0], out[1] = k.softmax(sc.weight(t.kind(), i), &row[0], lo, hi, scale)
		if t.Scaled() {
			s.row.mul(&row[lo], &row[lo], &sc.valueScales[lo], hi-lo)
		}
	}
}

// loadScales widens the scales of the values that a block's first tile and those behind it see.
func (s *Set) loadScales(sc *attendScratch, t *attendTile) {
	lo, hi := t.span()
	widen := s.attend[t.kind()].widen
	for i := lo / panelPositions; i*panelPositions < hi; i++ {
		widen(&sc.valueScales[i*panelPositions], sc.panels[i].valueScales, panelPositions)
	}
	if t.kind() == kvE4M3 {
		s.fold.scale(&sc.valueScales[lo], &sc.valueScales[lo], hi-lo, smallE4M3)
	}
}

// foldTile folds the parts of the tile's rows into their states: both are rescaled to the larger of their maxima.
func (s *Set) foldTile(sc *attendScratch, t *attendTile, state, part []float32) {
	size := t.PartFloats()
	for i := range t.rows {
		sc.factor(i, state[i*size:], part[i*size:])
	}
	s.row.exp(&sc.factors[0], &sc.factors[0], 2*t.rows)
	for i := range t.rows {
		s.foldPart(state[i*size:(i+1)*size], part[i*size:(i+1)*size], sc.factors[2*i:], t.seen[i].begins)
	}
}

// factor prepares the exponents by which row i's state and part are rescaled.
func (sc *attendScratch) factor(i int, state, part []float32) {
	most := max(state[0], part[0])
	sc.factors[2*i], sc.factors[2*i+1] = state[0]-most, part[0]-most
}

// foldPart adds a part to the state so far, or begins with it.
func (s *Set) foldPart(state, part, factors []float32, first bool) {
	if first {
		copy(state, part)
		return
	}
	a, b := factors[0], factors[1]
	state[0] = max(state[0], part[0])
	state[1] = fma32(state[1], a, float32(part[1]*b))
	s.fold.fold(&state[partHead], &part[partHead], len(part)-partHead, a, b)
}
