package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
)

const (
	ropeWarps   = 4 // heads of a CTA
	ropeThreads = 32 * ropeWarps
)

// rope is what a rope_kv is written for: the heads of queries, then of keys, then of values are the columns of qkv.
type rope struct {
	e                           *entry
	heads, kvHeads, dim, rotary int
	lane                        ptx.Reg
}

func newRope(e *entry) *rope {
	attr := func(name string) int { return int(e.launch.Int(name, 0)) }
	return &rope{e: e, heads: attr("heads"), kvHeads: attr("kv_heads"), dim: attr("dim"), rotary: attr("rotary_dim")}
}

func (r *rope) allHeads() int { return r.heads + 2*r.kvHeads }

func ropeGrid(e *entry) [3]engine.Extent {
	return grid(engine.Extent{Of: e.buffer("y").Rows, Per: 1}, engine.Extent{Of: constant(newRope(e).allHeads()), Per: ropeWarps})
}

// ropeKV is one CTA for each token and four of its heads, a warp a head. A lane has pairs lane, lane+32, ... of the channels that turn
// together, and of the channels that do not turn as many: they stay in its registers from the load to the store. Where frequencies
// depend on the length of the sequence, keys are stored as they are, and attention turns them.
func ropeKV(e *entry) {
	r := newRope(e)
	token := r.e.CtaX()
	head := r.e.Mad(r.e.CtaY(), ropeWarps, r.e.Warp())
	r.lane = r.e.Lane()
	r.e.If(r.e.Lt(head, r.allHeads()), func() {
		row := r.e.Index(r.e.row("qkv", token), r.e.Mul(head, r.dim), 4)
		pairs, rest := r.channels()
		all := rest
		for _, p := range pairs {
			all = append(all, p[0], p[1])
		}
		for _, c := range all {
			r.load(c.value, row, c)
		}
		r.e.If(r.e.Lt(head, r.heads+r.kvHeads), func() {
			if r.e.has("q_norm") {
				r.normalise(all, head)
			}
			r.turnWanted(pairs, token, head)
		})
		r.e.IfElse(r.e.Lt(head, r.heads), func() { r.storeQuery(all, token, head) }, func() { r.storeCache(all, token, head) })
	})
}

// ropeRows is rope alone: rows of heads that turn, a warp a head, each lane with the channels that ropeKV gives it.
func ropeRows(e *entry) {
	r := newRope(e)
	token := e.CtaX()
	head := e.Mad(e.CtaY(), ropeWarps, e.Warp())
	r.lane = e.Lane()
	e.If(e.Lt(head, r.heads), func() {
		first := e.Mul(head, r.dim)
		pairs, all := r.channels()
		for _, p := range pairs {
			all = append(all, p[0], p[1])
		}
		row := e.Index(e.row("x", token), first, 4)
		for _, c := range all {
			r.load(c.value, row, c)
		}
		r.turn(pairs, token)
		r.store(all, e.Index(e.row("y", token), first, 4), ptx.F32)
	})
}

// turnWanted turns a query, and a key unless it is stored as it is.
func (r *rope) turnWanted(pairs [][2]channel, token, head ptx.Reg) {
	if !r.e.turnsOnRead() {
		r.turn(pairs, token)
		return
	}
	r.e.If(r.e.Lt(head, r.heads), func() { r.turn(pairs, token) })
}

// channel is one of a lane's channels of its head. ok is no register where every lane has one.
type channel struct{ at, value, ok ptx.Reg }

// channels returns the pairs that turn and the channels that do not; values are zero.
func (r *rope) channels() (pairs [][2]channel, rest []channel) {
	half := r.rotary / 2
	for first := 0; first < half; first += 32 {
		i, ok := r.share(first, half)
		a, b := i, r.e.Add(i, half)
		if r.e.launch.Text("style", "") == "interleaved" {
			a = r.e.Shl(i, 1)
			b = r.e.Add(a, 1)
		}
		pairs = append(pairs, [2]channel{{a, r.e.Const(ptx.F32, 0), ok}, {b, r.e.Const(ptx.F32, 0), ok}})
	}
	for first := r.rotary; first < r.dim; first += 32 {
		i, ok := r.share(first, r.dim)
		rest = append(rest, channel{i, r.e.Const(ptx.F32, 0), ok})
	}
	return pairs, rest
}

// share gives every lane a number from first on, and tells in which lanes it is below the end.
func (r *rope) share(first, end int) (i, ok ptx.Reg) {
	i = r.lane
	if first > 0 {
		i = r.e.Add(i, first)
	}
	if first+32 > end {
		ok = r.e.Lt(i, end)
	}
	return i, ok
}

// only is the builder for instructions of the lanes that have the channel.
func (r *rope) only(c channel) *ptx.Builder {
	if c.ok == (ptx.Reg{}) {
		return r.e.Builder
	}
	return r.e.When(c.ok)
}

// load reads the channel's element of a row of f32.
func (r *rope) load(into, row ptx.Reg, c channel) {
	at := r.e.Index(row, c.at, 4)
	r.only(c).Into(into).Ld(ptx.F32, at)
}

// normalise divides a head by its root mean square and multiplies it by the weights of queries or keys.
func (r *rope) normalise(all []channel, head ptx.Reg) {
	r.e.Section("norm of the head")
	squares := r.e.Const(ptx.F32, 0)
	for _, c := range all {
		r.e.Into(squares).Fma(c.value, c.value, squares)
	}
	mean := r.e.Div(r.e.WarpReduce(squares, r.e.Add), float64(r.dim))
	scale := r.e.Div(1.0, r.e.Sqrt(r.e.Add(mean, r.e.launch.Float("eps", 0))))
	weights := r.e.Select(r.e.Lt(head, r.heads), r.e.pointers["q_norm"], r.e.pointers["k_norm"])
	for _, c := range all {
		w := r.e.Const(ptx.F32, 0)
		r.load(w, weights, c)
		r.e.Into(c.value).Mul(r.e.Mul(c.value, scale), w)
	}
}

// turn rotates pairs by position * inv_freq, a product of f32 numbers as models are trained with.
func (r *rope) turn(pairs [][2]channel, token ptx.Reg) {
	r.e.Section("rotation")
	position := r.e.Cvt(ptx.F32, r.e.Ld(ptx.S32, r.e.Index(r.e.pointers["positions"], token, 4)))
	f := newFrequencies(r.e, token)
	for n, p := range pairs {
		number, _ := r.share(32*n, r.rotary/2)
		frequency := r.e.Const(ptx.F32, 0)
		r.load(frequency, f.table, channel{at: number, ok: p[0].ok})
		f.scale(frequency, number)
		r.e.turnPair(p[0].value, p[1].value, position, frequency)
	}
}

// storeQuery writes the head to its columns of y. The first head also writes the zeros behind rows of bf16.
func (r *rope) storeQuery(all []channel, token, head ptx.Reg) {
	r.e.Section("query")
	out := r.e.row("y", token)
	if !r.e.isBF16("y") {
		r.store(all, r.e.Index(out, r.e.Mul(head, r.dim), 4), ptx.F32)
		return
	}
	r.store(all, r.e.Index(out, r.e.Mul(head, r.dim), 2), ptx.BF16)
	r.e.If(r.e.Eq(head, 0), func() { r.e.padBF16("y", out, r.lane) })
}

// storeCache writes a key or a value to the token's slot, if it has one.
func (r *rope) storeCache(all []channel, token, head ptx.Reg) {
	r.e.Section("key or value")
	r.storeRow(all, func(then func(place kvPlace)) { r.atHead(token, head, then) })
}

// storeRow writes a row of the cache that a warp holds where at says.
func (r *rope) storeRow(all []channel, at func(then func(place kvPlace))) {
	if r.e.kv().Scaled() {
		r.storeCodes(all, at)
		return
	}
	at(func(place kvPlace) {
		for _, c := range all {
			r.e.storeKV(r.only(c), place, c.at, c.value)
		}
	})
}

// atHead is atSlot for a head among all: those of queries come first, then those of keys.
func (r *rope) atHead(token, head ptx.Reg, then func(place kvPlace)) {
	isValue := r.e.Ge(head, r.heads+r.kvHeads)
	before := r.e.Select(isValue, r.e.Const(ptx.U32, r.heads+r.kvHeads), r.heads)
	r.e.atSlot(token, r.e.Sub(head, before), isValue, then)
}

// store writes the lane's channels of a head.
func (r *rope) store(all []channel, row ptx.Reg, t ptx.Type) {
	for _, c := range all {
		v := c.value
		if t == ptx.BF16 {
			v = r.e.Cvt(ptx.BF16, v)
		}
		at := r.e.Index(row, c.at, t.Bytes())
		r.only(c).St(at, v)
	}
}
