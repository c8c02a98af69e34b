package cuda

import (
	"math"

	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/internal/sym"
)

const (
	scanThreads = 64
	scanStates  = 4 // of a channel that a lane has, where 32 lanes are enough for that
)

// scanShape is how a channel's states are shared: lanes, a power of two, with states each; the last lanes may have fewer.
type scanShape struct{ all, lanes, states int }

func (e *entry) scanShape() scanShape {
	s := scanShape{all: e.cols("b"), lanes: 1}
	for s.lanes < 32 && s.lanes*scanStates < s.all {
		s.lanes *= 2
	}
	s.states = (s.all + s.lanes - 1) / s.lanes
	return s
}

// channels is how many channels a CTA has.
func (s scanShape) channels() int { return scanThreads / s.lanes }

func scanGrid(e *entry) [3]engine.Extent {
	return grid(engine.Extent{Of: sym.Of(sym.B), Per: 1}, engine.Extent{Of: constant(e.cols("y")), Per: int64(e.scanShape().channels())})
}

// stateScan is, with t = log(1 + exp(dt[m,d])), state[n,d] = exp(t*a[n,d])*state[n,d] + t*x[m,d]*b[m,n] for one token of a sequence after the other, and
// y[m,d] = skip[d]*x[m,d] + state[0,d]*c[m,0] + .. (Gu and Dao 2023, "Mamba"). CTA (b, j) has some channels of sequence b; with 16 states:
//
//	channel             | 16*j            | 16*j+1          | .. | 16*j+15
//	lanes, four a warp  |  0   1   2   3  |  4   5   6   7  | .. | 60  61  62  63
//	states of a lane    | 0-3 4-7 8-11 -15| 0-3 ..
//
// States stay in registers. A lane adds up what its states tell in their order, then lanes of a channel in a butterfly, whatever the step has besides. Of a
// token that follows on others everything but its states' one multiplication and addition can be computed before, so tokens are taken in groups, of which
// the next is loaded while one is computed. What is left of a page's tokens then goes one by one.
func stateScan(e *entry) {
	s := newScan(e)
	taken := e.mutable(ptx.U32, 0)
	e.Assume(ptx.CTAUniform, taken)
	e.While("pages", func() ptx.Reg { return e.Lt(taken, s.count) }, func() {
		position := e.Add(s.position, taken)
		rest := e.Sub(e.pageSize, e.Rem(position, e.pageSize))
		end := e.Assume(ptx.CTAUniform, e.Min(e.Add(taken, rest), s.count))
		s.walk(taken, end)
		e.Set(taken, end)
		e.Section("states that stay")
		s.leave(e.Sub(end, 1), s.channel, func(at ptx.Reg) {
			at = e.Index(at, s.lane, s.states*stateRowBytes)
			for n, v := range s.state {
				e.When(s.whose[n]).St(at.At(n*stateRowBytes), v)
			}
		})
	})
}

// scan is a lane's part of a channel.
type scan struct {
	*recurrence
	scanShape
	channel, lane ptx.Reg
	writes        ptx.Reg   // the lane stores what the channel tells
	whose         []ptx.Reg // by state: there is such a state of such a channel
	skip          ptx.Reg
	a, state      []ptx.Reg
	x, dt, b, c   ptx.Reg // addresses in the rows of the first token
	y             ptx.Reg
}

func newScan(e *entry) *scan {
	s := &scan{recurrence: newRecurrence(e, false), scanShape: e.scanShape()}
	e.Section("states")
	channels := e.cols("y")
	s.lane = e.And(e.TidX(), s.lanes-1)
	s.channel = e.Mad(e.CtaY(), s.channels(), e.Shr(e.TidX(), log2(s.lanes)))
	inside := e.Lt(s.channel, channels)
	s.channel = e.Min(s.channel, channels-1)
	s.writes = e.And(inside, e.Eq(s.lane, 0))
	before, has := s.before(s.channel)
	before = e.Index(before, s.lane, s.states*stateRowBytes)
	firstState := e.Mul(s.lane, s.states)
	a := e.Index(e.Index(e.pointers["a"], firstState, 4*channels), s.channel, 4)
	for n := range s.states {
		whose := inside
		if s.lanes*s.states > s.all {
			whose = e.CmpAnd(ptx.LT, firstState, s.all-n, inside)
		}
		s.whose = append(s.whose, whose)
		state, forget := e.Const(ptx.F32, 0), e.Const(ptx.F32, 0)
		e.When(e.And(whose, has)).Into(state).Ld(ptx.F32, before.At(n*stateRowBytes))
		e.When(whose).Into(forget).Ld(ptx.F32, a.At(4*channels*n))
		s.state, s.a = append(s.state, state), append(s.a, e.Mul(forget, log2e))
	}
	s.skip = e.Ld(ptx.F32, e.Index(e.pointers["skip"], s.channel, 4))
	s.x, s.dt, s.y = s.column("x", s.channel), s.column("dt", s.channel), s.column("y", s.channel)
	s.b, s.c = s.column("b", firstState), s.column("c", firstState)
	return s
}

// walk takes the tokens from number from on to end in.
func (s *scan) walk(from, end ptx.Reg) {
	e := s.e
	size := scanGroup
	if s.states > scanStates {
		size = 1
	}
	groups := [2]scanTokens{s.room(size), s.room(size)}
	whole := e.And(e.Sub(end, from), ^(2*size - 1))
	grouped := e.Add(from, whole)
	e.Section("groups of tokens")
	e.If(e.Gt(whole, 0), func() { s.load(groups[0], from) })
	e.For(ptx.Range{Name: "groups", From: from, To: grouped, Step: 2 * size, NoUnroll: true}, func(token ptx.Reg) {
		s.load(groups[1], e.Add(token, size))
		s.advance(groups[0], token)
		next := e.Add(token, 2*size)
		s.load(groups[0], e.Select(e.Lt(next, grouped), next, token)) // behind the last one anything will do
		s.advance(groups[1], e.Add(token, size))
	})
	e.Section("single tokens")
	e.For(ptx.Range{Name: "tokens", From: grouped, To: end, NoUnroll: true}, func(token ptx.Reg) {
		one := s.room(1)
		s.load(one, token)
		s.advance(one, token)
	})
}

// scanGroup is how many tokens are loaded together.
const scanGroup = 4

// scanTokens are the numbers of some tokens that follow each other; of b and c those of the lane's states.
type scanTokens struct {
	x, dt []ptx.Reg
	b, c  [][]ptx.Reg
}

// room is of so many tokens. Nothing stands for states that there are not.
func (s *scan) room(tokens int) scanTokens {
	t := scanTokens{x: s.e.Zeros(ptx.F32, tokens), dt: s.e.Zeros(ptx.F32, tokens)}
	for range tokens {
		t.b, t.c = append(t.b, s.e.Zeros(ptx.F32, s.states)), append(t.c, s.e.Zeros(ptx.F32, s.states))
	}
	return t
}

// load loads tokens from number first on.
func (s *scan) load(t scanTokens, first ptx.Reg) {
	e := s.e
	x, dt := e.Index(s.x, first, e.stride("x")), e.Index(s.dt, first, e.stride("dt"))
	b, c := e.Index(s.b, first, e.stride("b")), e.Index(s.c, first, e.stride("c"))
	for i := range t.x {
		e.Into(t.x[i]).Ld(ptx.F32, x.At(i*e.stride("x")))
		e.Into(t.dt[i]).Ld(ptx.F32, dt.At(i*e.stride("dt")))
		s.loadStates("b", t.b[i], b.At(i*e.stride("b")))
		s.loadStates("c", t.c[i], c.At(i*e.stride("c")))
	}
}

// loadStates loads a token's numbers of the lane's states.
func (s *scan) loadStates(role string, to []ptx.Reg, at ptx.Addr) {
	e := s.e
	switch {
	case s.lanes*s.states > s.all:
		for n, r := range to {
			e.When(s.whose[n]).Into(r).Ld(ptx.F32, at.At(4*n))
		}
	case s.states == 4 && e.wholeVectors(role):
		e.Into(to...).LdV(ptx.F32, 4, at)
	default:
		for n, r := range to {
			e.Into(r).Ld(ptx.F32, at.At(4*n))
		}
	}
}

// advance takes loaded tokens in, of which the first has number first, and stores what they give.
func (s *scan) advance(t scanTokens, first ptx.Reg) {
	e := s.e
	y := e.Index(s.y, first, e.stride("y"))
	for i, x := range t.x {
		step := e.softplus(t.dt[i])
		taken := e.Mul(step, x)
		told := e.Const(ptx.F32, 0)
		for n, state := range s.state {
			forget := e.Ex2(e.Mul(step, s.a[n]))
			e.Into(state).Fma(forget, state, e.Mul(taken, t.b[i][n]))
			told = e.Fma(state, t.c[i][n], told)
		}
		for mask := 1; mask < s.lanes; mask *= 2 {
			told = e.Add(told, e.ShflXor(told, mask))
		}
		e.When(s.writes).St(y.At(i*e.stride("y")), e.Fma(x, s.skip, told))
	}
}

// atanh are the coefficients of the series of atanh(s)/s in s*s.
var atanh = [...]float64{1, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13}

// softplus is log(1 + e^x) = max(x, 0) + log(1 + e) for e = e^-|x|, which is 2*atanh(e/(e+2)): s is at most 1/3, so that the series ends soon. Where e is
// small its places are kept, which those of 1 + e would not be.
func (e *entry) softplus(x ptx.Reg) ptx.Reg {
	power := e.Ex2(e.Mul(e.Abs(x), -math.Log2E))
	s := e.DivApprox(power, e.Add(power, 2.0))
	square, p := e.Mul(s, s), e.Const(ptx.F32, atanh[len(atanh)-1])
	for i := len(atanh) - 2; i >= 0; i-- {
		p = e.Fma(p, square, atanh[i])
	}
	return e.Fma(p, e.Add(s, s), e.MaxNaN(x, 0.0))
}
