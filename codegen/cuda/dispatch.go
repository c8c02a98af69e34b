package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
)

// dispatchThreads look for the rows of one expert.
const dispatchThreads = 256

func dispatchGrid(e *entry) [3]engine.Extent {
	return grid(engine.Extent{Of: constant(int(e.launch.Int("count", 1))), Per: 1})
}

// dispatch gives each expert's rows their places: a CTA for each expert, which reads all choices. A thread has neighbouring choices, so that the
// order of threads is that of rows; how many choices are of lower experts says where the expert's places begin.
func dispatch(e *entry) {
	expert, k := e.CtaX(), e.cols("experts")
	choices := e.Mul(e.rows("experts"), k)
	share := e.Div(e.Add(choices, dispatchThreads-1), dispatchThreads)
	from := e.Min(e.Mul(e.TidX(), share), choices)
	to := e.Min(e.Add(from, share), choices)
	chosen := func(i ptx.Reg) ptx.Reg { return e.Ld(ptx.U32, e.Index(e.pointers["experts"], i, 4)) }

	e.Section("count")
	lower, mine := e.Const(ptx.U32, 0), e.Const(ptx.U32, 0)
	e.For(ptx.Range{Name: "choices", From: from, To: to}, func(i ptx.Reg) {
		id := chosen(i)
		e.When(e.Lt(id, expert)).Into(lower).Add(lower, 1)
		e.When(e.Eq(id, expert)).Into(mine).Add(mine, 1)
	})

	e.Section("first place of the thread")
	warps := dispatchThreads / 32
	counts := e.Addr(e.Static("counts", 2*4*warps, 16)) // of lower experts, then of this one, by warp
	upTo := e.scanOfWarp(mine)
	all := e.Redux("add", lower)
	last := e.Eq(e.Lane(), 31)
	at := e.Index(counts, e.Warp(), 4)
	e.When(last).St(at, all)
	e.When(last).St(at.At(4*warps), upTo)
	e.Sync()
	start, place := e.Const(ptx.U32, 0), e.Sub(upTo, mine)
	for w := range warps {
		e.Into(start).Add(start, e.Ld(ptx.U32, counts.At(4*w)))
		count := e.Ld(ptx.U32, counts.At(4*(warps+w)))
		e.When(e.Gt(e.Warp(), w)).Into(place).Add(place, count)
	}
	e.Into(place).Add(place, start)

	e.Section("places")
	e.For(ptx.Range{Name: "places", From: from, To: to}, func(i ptx.Reg) {
		e.If(e.Eq(chosen(i), expert), func() {
			e.St(e.Index(e.pointers["rows"], place, 4), e.Div(i, k))
			e.St(e.Index(e.pointers["places"], i, 4), place)
			e.Into(place).Add(place, 1)
		})
	})
	e.If(e.Eq(e.TidX(), 0), func() {
		edge := e.Index(e.pointers["offsets"], expert, 4)
		e.St(edge, start)
		end := e.Eq(expert, int(e.launch.Int("count", 1))-1)
		e.When(end).St(edge.At(4), choices)
	})
}
