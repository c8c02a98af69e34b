package kernel

import (
	"math"
	"unsafe"

	"llmc/engine/layout"
)

// Sets with AMX attend by tiles where keys and values are bf16 and heads are whole tiles of channels: 32 query rows against a split at once.
// Scores are sums over 32 channels at a time, values over 16 positions from a multiple of 16 on, in the order of dotTile; positions that a row does
// not see have weights of zero. A value that a later token brings, and that is not finite, makes NaN of that: such rows are computed again alone.

const (
	tileQueries   = 2 * amxRows // rows of a tile kernel of attention
	tileChannels  = 32
	tilePositions = 16
)

// tileAttendKernels are the kernels of attention by tiles: of 32 rows, and of up to 16, for tiles as high as these.
type tileAttendKernels struct {
	scores, fewScores func(a *scoreTileArgs)
	values, fewValues func(a *valueTileArgs)
}

// scoreTileArgs: scores of rows query rows, 32 or few, against pairs of panels of 16 positions.
type scoreTileArgs struct {
	config    unsafe.Pointer // of the tiles, where they are not whole
	rows      int
	q         unsafe.Pointer // [rows][steps*32] bf16
	qStride   int
	panels    *scorePanel // [2*pairs]
	pairs     int
	steps     int            // tiles of channels
	ahead     int            // 1: the values of the panels come next, and are prefetched
	out       unsafe.Pointer // [rows][32*pairs] f32
	outStride int
}

// valueTileArgs: values of chunks of 16 positions, weighted by rows rows, 32 or few.
type valueTileArgs struct {
	config    unsafe.Pointer // of the tiles, where they are not whole
	rows      int
	p         unsafe.Pointer // [rows][16*chunks] bf16
	pStride   int
	list      *valueChunk // [chunks]
	chunks    int
	vStride   int            // bytes of a pair of positions
	out       unsafe.Pointer // [rows][32*blocks] f32
	outStride int
	blocks    int // of 32 channels
}

// valueChunk is the first pair of a chunk's positions, and memory as long as the chunk that will be wanted; nil: none.
type valueChunk struct{ values, ahead unsafe.Pointer }

// tileAttendScratch is one worker's memory for attention by tiles.
type tileAttendScratch struct {
	score  scoreTileArgs
	value  valueTileArgs
	chunks [SplitLength / tilePositions]valueChunk
	sums   []float32 // [tileQueries, DimV]
	edges  [2][]byte // chunks of values that not all positions of are seen, with zeros for those

	scoreConfig, valueConfig tileConfig // for few rows
}

// attendsByTiles tells whether a is attended by tiles. It is a property of the layer: rows have the same bits however many there are.
func (s *Set) attendsByTiles(a *Attention) bool {
	return s.tileAttend.scores != nil && a.kind() == kvBF16 && a.Dim%tileChannels == 0 && a.Values()%tileChannels == 0 && !a.shaped()
}

// referenceTileAttend is what the kernels compute.
func referenceTileAttend() tileAttendKernels {
	return tileAttendKernels{scores: refTileScores, fewScores: refTileScores, values: refTileValues, fewValues: refTileValues}
}

func refTileScores(a *scoreTileArgs) {
	panels := unsafe.Slice(a.panels, 2*a.pairs)
	for r := range a.rows {
		for i := range 2 * a.pairs * panelPositions {
			var acc float32
			for step := range a.steps {
				var x, w [amxRows][2]uint16
				for d := range x {
					pair := step*amxRows + d
					x[d] = *at[[2]uint16](a.q, r*a.qStride+4*pair)
					w[d] = *at[[2]uint16](panels[i/panelPositions].k, (pair*panelPositions+i%panelPositions)*4)
				}
				acc = dotTile(acc, x[:], w[:])
			}
			*at[float32](a.out, r*a.outStride+4*i) = acc
		}
	}
}

func refTileValues(a *valueTileArgs) {
	const pairs = tilePositions / 2
	for r := range a.rows {
		for c := range a.blocks * tileChannels {
			var acc float32
			for i, v := range unsafe.Slice(a.list, a.chunks) {
				var x, w [pairs][2]uint16
				for p := range x {
					x[p] = *at[[2]uint16](a.p, r*a.pStride+4*(i*pairs+p))
					w[p] = *at[[2]uint16](v.values, p*a.vStride+4*c)
				}
				acc = dotTile(acc, x[:], w[:])
			}
			*at[float32](a.out, r*a.outStride+4*c) = acc
		}
	}
}

func (sc *tileAttendScratch) prepare(kv *layout.KV) {
	grow(&sc.sums, tileQueries*kv.DimV())
	for i := range sc.edges {
		grow(&sc.edges[i], tilePositions/2*kv.VRowBytes())
	}
}

// attendTileRows computes the parts of the tile's rows.
func (s *Set) attendTileRows(sc *attendScratch, t *attendTile, part []float32) {
	tiles := &sc.tilesBF16
	tiles.prepare(&t.KV)
	lo, hi := t.span()
	lo = lo &^ (tilePositions - 1)
	chunks := (hi - lo + tilePositions - 1) / tilePositions
	s.scoreTile(sc, t, lo, hi)
	s.weights(sc, t, part)
	for i := range t.rows {
		sc.clearUnseen(t, i, lo, lo+chunks*tilePositions)
	}
	// The kernel for 32 rows writes all of them. Where that is more than there are, what it overwrites comes later.
	size := t.PartFloats()
	if t.rows <= amxRows || len(part) >= tileQueries*size {
		s.valueTile(sc, t, lo, chunks, part[partHead:], size)
		return
	}
	s.valueTile(sc, t, lo, chunks, tiles.sums, t.DimV())
	for i := range t.rows {
		copy(part[i*size+partHead:(i+1)*size], tiles.sums[i*t.DimV():])
	}
}

// scoreTile fills the scores of positions [lo, hi), and of others in the same pairs of panels.
func (s *Set) scoreTile(sc *attendScratch, t *attendTile, lo, hi int) {
	const pairPositions = 2 * panelPositions
	from, to := lo/pairPositions, (hi+pairPositions-1)/pairPositions
	args := &sc.tilesBF16.score
	*args = scoreTileArgs{
		q: unsafe.Pointer(&sc.queries[t.query*sc.queryStride]), qStride: sc.queryStride,
		panels: &sc.panels[2*from], pairs: to - from, steps: t.Dim / tileChannels,
		out: unsafe.Pointer(&sc.scores[from*pairPositions]), outStride: 4 * scoreStride,
	}
	if t.leads {
		args.ahead = 1
	}
	if args.rows = t.rows; t.rows <= amxRows {
		sc.tilesBF16.scoreConfig.set(t.rows, amxRow, amxRows)
		args.config = unsafe.Pointer(&sc.tilesBF16.scoreConfig)
		s.tileAttend.fewScores(args)
		return
	}
	args.rows = tileQueries
	s.tileAttend.scores(args)
}

// valueTile sums the values of chunks chunks of positions from lo on. Rows of out are ld numbers apart.
func (s *Set) valueTile(sc *attendScratch, t *attendTile, lo, chunks int, out []float32, ld int) {
	tiles := &sc.tilesBF16
	from, to := t.span()
	for i := range chunks {
		at := lo + i*tilePositions
		panel, chunk := &sc.panels[at/tilePositions], &tiles.chunks[i]
		chunk.values, chunk.ahead = panel.v, nil
		if at < from || at+tilePositions > to {
			edge := tiles.edges[min(i, 1)]
			t.copySeen(edge, panel.v, at, from, to)
			chunk.values = unsafe.Pointer(&edge[0])
		}
		if t.leads { // the keys of the next split come then
			chunk.ahead = panel.ahead
		}
	}
	tiles.value = valueTileArgs{
		p: unsafe.Pointer(&sc.probs[lo]), pStride: 2 * SplitLength,
		list: &tiles.chunks[0], chunks: chunks, vStride: t.VRowBytes(),
		out: unsafe.Pointer(&out[0]), outStride: 4 * ld, blocks: t.Values() / tileChannels,
	}
	if tiles.value.rows = t.rows; t.rows <= amxRows {
		tiles.valueConfig.set(t.rows, tilePositions*2, tilePositions/2)
		tiles.value.config = unsafe.Pointer(&tiles.valueConfig)
		s.tileAttend.fewValues(&tiles.value)
		return
	}
	tiles.value.rows = tileQueries
	s.tileAttend.values(&tiles.value)
}

// copySeen copies the values of the chunk at position at, with zeros for what is not in [from, to).
func (t *attendTile) copySeen(dst []byte, values unsafe.Pointer, at, from, to int) {
	row := t.VRowBytes()
	src := unsafe.Slice((*byte)(values), tilePositions/2*row)
	for i := range tilePositions / 2 {
		keep := uint32(0)
		for half := range 2 {
			if p := at + 2*i + half; p >= from && p < to {
				keep |= 0xffff << (16 * half)
			}
		}
		from, to := src[i*row:(i+1)*row], dst[i*row:(i+1)*row]
		switch keep {
		case 0:
			clear(to)
		case math.MaxUint32:
			copy(to, from)
		default:
			in, out := unsafe.Slice((*uint32)(unsafe.Pointer(&from[0])), row/4), unsafe.Slice((*uint32)(unsafe.Pointer(&to[0])), row/4)
			for c, v := range in {
				out[c] = v & keep
			}
		}
	}
}
