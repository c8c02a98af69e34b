package kernel

import (
	"math"
	"unsafe"

	"llmc/engine/layout"
)

// Floats are rows of f32, LD numbers apart.
type Floats struct {
	Data []float32
	LD   int
}

// part returns the numbers [col, col+cols) of row first. Those of the row rows-1 further are there too.
func (f Floats) part(first, rows, col, cols int) *float32 {
	at := first*f.LD + col
	_ = f.Data[at+(rows-1)*f.LD : at+(rows-1)*f.LD+cols]
	return &f.Data[at]
}

// Convolution is a layer's convolution of each channel with its own last inputs.
type Convolution struct {
	Y, X Floats    // [tokens, channels]
	W    Floats    // [taps, channels]: the last row is that of the input at hand
	Bias []float32 // [channels]
}

// Convolve computes y = silu(bias + w*inputs) of a block of channels for tokens of one sequence, rows [first, first+tokens). state holds the inputs before
// them, [taps-1][16], and then the last ones.
func (s *Set) Convolve(sc *Scratch, c *Convolution, state []float32, block, first, tokens int) {
	col := block * layout.StateLanes
	rows := len(state) / layout.StateLanes
	sc.convolve = convolveArgs{
		y: c.Y.part(first, tokens, col, layout.StateLanes), yStride: 4 * c.Y.LD,
		x: c.X.part(first, tokens, col, layout.StateLanes), xStride: 4 * c.X.LD,
		w: c.W.part(0, rows+1, col, layout.StateLanes), wStride: 4 * c.W.LD,
		bias: &c.Bias[col : col+layout.StateLanes][0], state: &state[:rows*layout.StateLanes][0], rows: rows, tokens: tokens,
	}
	s.state.convolve(&sc.convolve)
}

// Scan is a layer's selective scan.
type Scan struct {
	Y, X, DT Floats    // [tokens, channels]
	B, C     Floats    // [tokens, states]
	A        Floats    // [states, channels]
	Skip     []float32 // [channels]
}

// Scan moves the states of a block of channels on by tokens of one sequence, rows [first, first+tokens). state, [states][16], is that before them, and then
// that behind them: with t = log(1 + exp(dt)) it becomes exp(t*a)*state + t*x*b, and y = skip*x + state*c.
func (s *Set) Scan(sc *Scratch, c *Scan, state []float32, block, first, tokens int) {
	col := block * layout.StateLanes
	rows := len(state) / layout.StateLanes
	sc.scan = scanArgs{
		y: c.Y.part(first, tokens, col, layout.StateLanes), yStride: 4 * c.Y.LD,
		x: c.X.part(first, tokens, col, layout.StateLanes), xStride: 4 * c.X.LD,
		dt: c.DT.part(first, tokens, col, layout.StateLanes), dtStride: 4 * c.DT.LD,
		b: c.B.part(first, tokens, 0, rows), bStride: 4 * c.B.LD,
		c: c.C.part(first, tokens, 0, rows), cStride: 4 * c.C.LD,
		a: c.A.part(0, rows, col, layout.StateLanes), aStride: 4 * c.A.LD,
		skip: &c.Skip[col : col+layout.StateLanes][0], state: &state[:rows*layout.StateLanes][0], rows: rows, tokens: tokens,
	}
	s.state.scan(&sc.scan)
}

// stateKernels move states on by at least one token, in blocks of layout.StateLanes channels.
type stateKernels struct {
	convolve func(a *convolveArgs)
	scan     func(a *scanArgs)
}

// convolveArgs is what convolve needs. Assembly reads the fields by name; strides are in bytes.
type convolveArgs struct {
	y, x, w, bias, state      *float32
	yStride, xStride, wStride int
	rows, tokens              int // inputs of the state, at least one
}

// scanArgs is what scan needs.
type scanArgs struct {
	y, x, dt, b, c, a, skip, state                        *float32
	yStride, xStride, dtStride, bStride, cStride, aStride int
	rows, tokens                                          int // states of a channel
}

func stateReference() stateKernels { return stateKernels{refConvolve, refScan} }

// lanesAt returns the block of channels of a row.
func lanesAt(p *float32, row, stride int) *[layout.StateLanes]float32 {
	return (*[layout.StateLanes]float32)(unsafe.Add(unsafe.Pointer(p), row*stride))
}

// numbersAt returns n numbers of a row.
func numbersAt(p *float32, row, stride, n int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(p), row*stride)), n)
}

const stateRowBytes = 4 * layout.StateLanes

func refConvolve(a *convolveArgs) {
	for t := range a.tokens {
		x, y := lanesAt(a.x, t, a.xStride), lanesAt(a.y, t, a.yStride)
		for i := range y {
			sum := lanesAt(a.bias, 0, 0)[i]
			for k := range a.rows {
				h := &lanesAt(a.state, k, stateRowBytes)[i]
				sum = fma32(*h, lanesAt(a.w, k, a.wStride)[i], sum)
				if k > 0 {
					lanesAt(a.state, k-1, stateRowBytes)[i] = *h
				}
			}
			sum = fma32(x[i], lanesAt(a.w, a.rows, a.wStride)[i], sum)
			lanesAt(a.state, a.rows-1, stateRowBytes)[i] = x[i]
			y[i] = silu32(sum)
		}
	}
}

func refScan(a *scanArgs) {
	for t := range a.tokens {
		x, y, dt := lanesAt(a.x, t, a.xStride), lanesAt(a.y, t, a.yStride), lanesAt(a.dt, t, a.dtStride)
		b, c := numbersAt(a.b, t, a.bStride, a.rows), numbersAt(a.c, t, a.cStride, a.rows)
		for i := range y {
			step := softplus32(dt[i])
			taken, told := step*x[i], float32(0)
			for n := range a.rows {
				h := &lanesAt(a.state, n, stateRowBytes)[i]
				*h = fma32(exp32(step*lanesAt(a.a, n, a.aStride)[i]), *h, taken*b[n])
				told = fma32(*h, c[n], told)
			}
			y[i] = fma32(x[i], lanesAt(a.skip, 0, 0)[i], told)
		}
	}
}

// atanhPoly are the coefficients of the series of atanh(s)/s in s*s; gen/constant.go has them too.
var atanhPoly = [...]float32{1, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13}

// softplus32 is log(1 + e^x) = max(x, 0) + log(1 + e) for e = e^-|x|, which is 2*atanh(e/(e+2)): s is at most 1/3, so that the series ends soon.
func softplus32(x float32) float32 {
	e := exp32(math.Float32frombits(math.Float32bits(x) | 1<<31))
	s := e / (e + 2)
	square, p := s*s, atanhPoly[len(atanhPoly)-1]
	for i := len(atanhPoly) - 2; i >= 0; i-- {
		p = fma32(p, square, atanhPoly[i])
	}
	p *= s
	p += p
	if !(x > 0) { // NaN too, of which p is one
		x = 0
	}
	return x + p
}
