package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/internal/sym"
)

const (
	convolutionWarps    = 8 // tokens of a sequence that a CTA takes side by side
	convolutionThreads  = 32 * convolutionWarps
	convolutionChannels = 32 // of a CTA: one of each lane
	convolutionLoads    = 16 // inputs that a thread loads before it needs the first, about
)

func convolutionGrid(e *entry) [3]engine.Extent {
	return grid(engine.Extent{Of: sym.Of(sym.B), Per: 1}, engine.Extent{Of: constant(e.cols("y")), Per: convolutionChannels})
}

// stateConv is y[m,d] = silu(bias[d] + w[0,d]*x[m-rank,d] + .. + w[rank,d]*x[m,d]), added up in this order, where x[m-i] is the input i tokens before m in
// its sequence. CTA (b, j) has channels 32*j to 32*j+31 of sequence b:
//
//	token of the sequence | warp 0: 0, 8, 16, .. | warp 1: 1, 9, 17, .. | .. | warp 7: 7, 15, ..
//	channel of a lane     | 32*j + lane
//
// A thread takes a few of its tokens at a time, so that their loads overlap. Inputs before the step's first token are those that the state keeps. Once all
// warps have read it, warp 0 leaves the last rank inputs in each page that the tokens reach, in that of the first token last: of that one it may read the
// inputs for all others.
func stateConv(e *entry) {
	c := newConvolution(e)
	e.Section("convolution")
	group := max(1, convolutionLoads/c.taps)
	e.For(ptx.Range{Name: "tokens", From: e.Warp(), To: c.count, Step: convolutionWarps * group, NoUnroll: true}, func(into ptx.Reg) {
		var tokens, live []ptx.Reg
		var inputs [][]ptx.Reg
		for i := range group {
			token := e.Add(into, convolutionWarps*i)
			tokens, live = append(tokens, token), append(live, e.CmpAnd(ptx.LT, token, c.count, c.inside))
			inputs = append(inputs, c.window(token, c.taps, live[i]))
		}
		for i, token := range tokens {
			sum := c.bias
			for k, w := range c.w {
				sum = e.Fma(inputs[i][k], w, sum)
			}
			y := e.swish(sum, sum, 1)
			at := e.Index(c.y, token, e.stride("y"))
			e.When(live[i]).St(at, y)
		}
	})
	e.Sync()
	e.Section("inputs that stay")
	e.If(e.Eq(e.Warp(), 0), c.keep)
}

// convolution is one channel's.
type convolution struct {
	*recurrence
	taps            int     // inputs that a token sees, its own with them
	channel, inside ptx.Reg // inside: there is such a channel
	before, has     ptx.Reg // the inputs before the first token, if there are any
	x, y            ptx.Reg // addresses in the rows of the first token
	w               []ptx.Reg
	bias            ptx.Reg
}

func newConvolution(e *entry) *convolution {
	c := &convolution{recurrence: newRecurrence(e, true)}
	e.Section("weights")
	channels := e.cols("y")
	c.channel = e.Mad(e.CtaY(), convolutionChannels, e.Lane())
	c.inside = e.Lt(c.channel, channels)
	c.channel = e.Min(c.channel, channels-1)
	c.before, c.has = c.recurrence.before(c.channel)
	c.x, c.y = c.column("x", c.channel), c.column("y", c.channel)
	taps, _ := e.weight("w").Type.Rows().IsConst()
	c.taps = int(taps)
	at := e.Index(e.pointers["w"], c.channel, 4)
	for k := range c.taps {
		c.w = append(c.w, e.Ld(ptx.F32, at.At(4*channels*k)))
	}
	c.bias = e.Const(ptx.F32, 0)
	if e.has("bias") {
		c.bias = e.Ld(ptx.F32, e.Index(e.pointers["bias"], c.channel, 4))
	}
	return c
}

// window loads the n inputs up to that of the sequence's token of number into, where live holds; zeros else, and before position 0.
func (c *convolution) window(into ptx.Reg, n int, live ptx.Reg) []ptx.Reg {
	e := c.e
	own, kept := e.Index(c.x, into, e.stride("x")), e.Index(c.before, into, stateRowBytes)
	old := e.And(live, c.has)
	var list []ptx.Reg
	for k := range n {
		back := n - 1 - k // tokens before into
		v := e.Const(ptx.F32, 0)
		e.When(e.CmpAnd(ptx.GE, into, back, live)).Into(v).Ld(ptx.F32, own.At(-back*e.stride("x")))
		if back > 0 { // the state's last row is the input before the first token
			e.When(e.CmpAnd(ptx.LT, into, back, old)).Into(v).Ld(ptx.F32, kept.At((c.taps-1-back)*stateRowBytes))
		}
		list = append(list, v)
	}
	return list
}

// keep leaves the last inputs in each page that the tokens reach, from the last page to the first.
func (c *convolution) keep() {
	e := c.e
	last := e.Div(e.Sub(e.Add(c.position, c.count), 1), e.pageSize)
	pages := e.Add(e.Sub(last, e.Div(c.position, e.pageSize)), 1)
	pages = e.Select(e.Gt(c.count, 0), pages, 0)
	e.For(ptx.Range{Name: "pages", From: 0, To: pages, NoUnroll: true}, func(i ptx.Reg) {
		end := e.Sub(e.Mul(e.Add(e.Sub(last, i), 1), e.pageSize), c.position)
		into := e.Sub(e.Min(end, c.count), 1)
		inputs := c.window(into, c.taps-1, c.inside)
		c.leave(into, c.channel, func(at ptx.Reg) {
			for row, v := range inputs {
				e.When(c.inside).St(at.At(row*stateRowBytes), v)
			}
		})
	})
}
