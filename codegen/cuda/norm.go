package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// normThreads work on one row.
const normThreads = 256

// centered are the norms that subtract the mean.
var centered = map[string]bool{"cuda.layernorm": true, "cuda.add_layernorm": true}

// norm is y = (x - mean) / sqrt(variance + eps) * w + bias of each row of x, or of sum = x + delta, which is stored too. Mean is the row's in
// norms that are centered and 0 in those that are not; variance is the mean of the squares of x - mean. One CTA has a row.
//
// A thread has pairs of columns 2*tid + 512*i. A sum over the row is that of a thread's columns in this order, of the lanes of a warp in five
// butterfly steps, then of the eight warps in order.
func norm(e *entry) {
	n := newNormRow(e)
	load := n.load
	if e.has("delta") {
		load = n.add
	}
	if centered[e.launch.Kernel] {
		e.Section("mean")
		sum := n.sum(load, func(sum, v ptx.Reg) ptx.Reg { return e.Add(sum, v) })
		n.mean = e.Div(e.sumIn("sums", sum), float64(n.columns))
		load = n.loadCentered
	}
	e.Section("sum of squares")
	squares := n.sum(load, func(sum, v ptx.Reg) ptx.Reg { return e.Fma(v, v, sum) })
	variance := e.Div(e.sumOfCTA(squares), float64(n.columns))
	scale := e.Div(1.0, e.Sqrt(e.Add(variance, e.launch.Float("eps", 0))))

	e.Section("scale")
	load = n.load
	if centered[e.launch.Kernel] {
		load = n.loadCentered
	}
	e.pairs(n.columns, func(i ptx.Reg) {
		v, w := load(i), n.vector("w", i)
		y := [2]ptx.Reg{e.Mul(e.Mul(v[0], scale), w[0]), e.Mul(e.Mul(v[1], scale), w[1])}
		if e.has("bias") {
			bias := n.vector("bias", i)
			y = [2]ptx.Reg{e.Add(y[0], bias[0]), e.Add(y[1], bias[1])}
		}
		e.store2(n.result, n.out, i, y)
	})
	e.pad(n.result, n.out)
	n.maxima()
}

// maxima writes the largest magnitude of every eight columns, where rows have it.
func (n *normRow) maxima() {
	if !n.e.hasMaxima(n.result) {
		return
	}
	n.e.Section("maxima")
	n.e.Sync()
	n.e.For(ptx.Range{Name: "maxima", From: n.e.TidX(), To: n.e.cols(n.result) / layout.MaximaColumns, Step: n.e.threads}, func(i ptx.Reg) {
		n.e.partMaximum(n.result, n.out, i)
	})
}

// normRow is the row that a CTA normalises.
type normRow struct {
	e       *entry
	columns int
	result  string             // role of what is normalised
	at, out ptx.Reg            // what is read and what is written
	delta   map[string]ptx.Reg // rows of x and delta, where their sum is stored at at first
	mean    ptx.Reg
}

func newNormRow(e *entry) *normRow {
	row := e.CtaX()
	n := &normRow{e: e, columns: e.cols("x"), result: "y", at: e.row("x", row)}
	if e.has("delta") {
		n.delta = map[string]ptx.Reg{"x": n.at, "delta": e.row("delta", row)}
		n.result, n.at = "normed", e.row("sum", row)
	}
	n.out = e.row(n.result, row)
	return n
}

// load reads columns i and i+1.
func (n *normRow) load(i ptx.Reg) [2]ptx.Reg { return n.e.load2("x", n.at, i) }

// loadCentered reads their distance from the mean.
func (n *normRow) loadCentered(i ptx.Reg) [2]ptx.Reg {
	v := n.load(i)
	return [2]ptx.Reg{n.e.Sub(v[0], n.mean), n.e.Sub(v[1], n.mean)}
}

// add makes them from x and delta, and stores them.
func (n *normRow) add(i ptx.Reg) [2]ptx.Reg {
	x, d := n.e.load2("x", n.delta["x"], i), n.e.load2("delta", n.delta["delta"], i)
	v := [2]ptx.Reg{n.e.Add(x[0], d[0]), n.e.Add(x[1], d[1])}
	n.e.store2("sum", n.at, i, v)
	return v
}

// sum takes the thread's columns in, one after the other.
func (n *normRow) sum(load func(i ptx.Reg) [2]ptx.Reg, take func(sum, v ptx.Reg) ptx.Reg) ptx.Reg {
	sum := n.e.Const(ptx.F32, 0)
	n.e.pairs(n.columns, func(i ptx.Reg) {
		v := load(i)
		n.e.Set(sum, take(sum, v[0]))
		second := take(sum, v[1])
		if n.columns%2 != 0 {
			second = n.e.Select(n.e.Lt(i, n.columns-1), second, sum)
		}
		n.e.Set(sum, second)
	})
	return sum
}

// vector reads elements i and i+1 of a weight.
func (n *normRow) vector(role string, i ptx.Reg) [2]ptx.Reg {
	at := n.e.pointers[role]
	if n.columns%2 != 0 {
		return [2]ptx.Reg{n.e.Ld(ptx.F32, n.e.Index(at, i, 4)), n.e.Ld(ptx.F32, n.e.Index(at, n.e.lastColumn("x", i), 4))}
	}
	v := n.e.LdV(ptx.F32, 2, n.e.Index(at, i, 4))
	return [2]ptx.Reg{v[0], v[1]}
}

// sumOfCTA adds up a number of every thread: the lanes of each warp in a butterfly, then the warps in order.
func (e *entry) sumOfCTA(x ptx.Reg) ptx.Reg { return e.sumIn("partials", x) }

// sumIn is sumOfCTA by way of shared memory of that name, which nothing else uses.
func (e *entry) sumIn(name string, x ptx.Reg) ptx.Reg {
	warps := e.threads / 32
	partials := e.Addr(e.Static(name, 4*warps, 16))
	sum := e.WarpReduce(x, e.Add)
	e.When(e.Eq(e.Lane(), 0)).St(e.Index(partials, e.Warp(), 4), sum)
	e.Sync()
	total := e.Ld(ptx.F32, partials)
	for i := 1; i < warps; i++ {
		total = e.Add(total, e.Ld(ptx.F32, partials.At(4*i)))
	}
	return total
}
