package cuda

import (
	"slices"

	"llmc/codegen/ptx"
	"llmc/engine"
)

const (
	poolWarps   = 8 // rows of a sequence that a CTA reads at a time
	poolThreads = 32 * poolWarps
	poolColumns = 64 // of a CTA: two of each lane
)

// pool is y[b] = the mean of the rows of sequence b, or the first or the last of them. CTA (b, j) has columns 64*j to 64*j+63 of sequence b:
//
//	rows of the sequence | warp 0: 0, 8, 16, .. | warp 1: 1, 9, 17, .. | .. | warp 7: 7, 15, ..
//	columns of a lane    | 64*j + 2*lane and the one behind it
//
// A warp adds up its rows in their order, and then the sums of the warps are added in theirs, in shared memory: what a sequence gets depends on its own rows
// alone. Of the first or the last row warp 0 copies the columns.
func pool(e *entry) {
	sequence := e.CtaX()
	starts := e.Index(e.pointers["seq_start"], sequence, 4)
	first, end := e.Ld(ptx.U32, starts), e.Ld(ptx.U32, starts.At(4))
	column := e.Mad(e.CtaY(), poolColumns, e.Shl(e.Lane(), 1))
	inside := e.Lt(column, e.cols("x"))
	out := e.row("y", sequence)
	store := func(v [2]ptx.Reg) {
		e.If(e.And(inside, e.Eq(e.Warp(), 0)), func() { e.store2("y", out, column, v) })
	}
	at := e.Min(column, (e.cols("x")-1)&^1) // lanes without columns read the last ones
	switch mode := e.launch.Text("mode", "mean"); mode {
	case "first", "last":
		row := first
		if mode == "last" {
			row = e.Sub(end, 1)
		}
		store(e.load2("x", e.row("x", row), at))
	default:
		store(e.meanOfRows(first, end, at))
	}
}

// meanOfRows is the mean of columns i and i+1 of rows first to end-1 of x, in warp 0.
func (e *entry) meanOfRows(first, end, i ptx.Reg) [2]ptx.Reg {
	e.Section("sums of a warp's rows")
	sums := [2]ptx.Reg{e.Const(ptx.F32, 0), e.Const(ptx.F32, 0)}
	e.For(ptx.Range{Name: "rows", From: e.Add(first, e.Warp()), To: end, Step: poolWarps}, func(row ptx.Reg) {
		for j, v := range e.load2("x", e.row("x", row), i) {
			e.Into(sums[j]).Add(sums[j], v)
		}
	})
	e.Section("sums of the warps")
	partials := e.Addr(e.Static("sums", 8*poolThreads, 16))
	e.StV(e.Index(partials, e.TidX(), 8), sums[:])
	e.Sync()
	mine := e.Index(partials, e.Lane(), 8)
	total := slices.Clone(e.LdV(ptx.F32, 2, mine))
	for w := 1; w < poolWarps; w++ {
		for j, v := range e.LdV(ptx.F32, 2, mine.At(8*32*w)) {
			total[j] = e.Add(total[j], v)
		}
	}
	rows := e.Cvt(ptx.F32, e.Sub(end, first))
	return [2]ptx.Reg{e.Div(total[0], rows), e.Div(total[1], rows)}
}

func poolGrid(e *entry) [3]engine.Extent {
	return grid(engine.Extent{Of: e.buffer("y").Rows, Per: 1}, engine.Extent{Of: constant(e.cols("y")), Per: poolColumns})
}
