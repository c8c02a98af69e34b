package calib

import (
	"math"
	"slices"

	"llmc/internal/dense"
	"llmc/internal/quant"
)

// exponents are how far awq follows the inputs' magnitudes, in tenths: not at all, to the full.
const exponents = 10

// awqFactors scales up the columns that large inputs meet before rounding, so that their errors, which count most, are smaller parts of them (AWQ, Lin et al. 2023,
// arXiv:2306.00978, section 3.2). Factors are powers of the inputs' root mean squares; of some exponents the one is taken whose rounded weights lose least of the products with
// the calibration's inputs, e H transpose(e), among them 0, which is plain rounding.
func awqFactors(s *Smoothing) []float32 {
	if s.Format == nil || s.Format.Plain() {
		return nil
	}
	size := s.magnitudes(func(c int) float64 { return float64(s.Input.Moments[c*s.Input.Cols+c]) })
	if size == nil {
		return nil
	}
	for i := range size {
		size[i] = math.Sqrt(size[i])
	}
	var best []float32
	t := newTrial(s)
	least := t.loss(nil)
	for n := 1; n <= exponents; n++ {
		factors := make([]float32, s.Factors)
		for i, x := range size {
			factors[i] = fewDigits(math.Pow(x, float64(n)/exponents))
		}
		if loss := t.loss(factors); loss < least {
			least, best = loss, factors
		}
	}
	return best
}

// smoothquantFactors is how far the largest inputs' magnitudes go into the weights: half of the way, as the paper has it for most models (SmoothQuant, Xiao et al. 2023, arXiv:2211.10438).
func smoothquantFactors(s *Smoothing) []float32 {
	weights := make([]float64, s.Input.Cols)
	for at := 0; at < len(s.Rows); at += s.Input.Cols {
		for c, w := range s.Rows[at : at+s.Input.Cols] {
			weights[c] = max(weights[c], math.Abs(float64(w)))
		}
	}
	inputs := s.magnitudes(func(c int) float64 { return float64(s.Input.Largest[c]) })
	outputs := s.magnitudes(func(c int) float64 { return weights[c] })
	if inputs == nil || outputs == nil {
		return nil
	}
	factors := make([]float32, s.Factors)
	for i := range factors {
		factors[i] = fewDigits(math.Sqrt(inputs[i] / outputs[i]))
	}
	return factors
}

// magnitudes returns the largest figure of each factor's columns, as a part of the geometric mean of all of them; none is below a ten thousandth of it, so that columns without
// inputs stay what they are. nil: all are zero.
func (s *Smoothing) magnitudes(of func(c int) float64) []float64 {
	size := make([]float64, s.Factors)
	for c := range s.Input.Cols {
		at := s.Factor(c)
		size[at] = max(size[at], of(c))
	}
	most := slices.Max(size)
	if !(most > 0) || math.IsInf(most, 0) {
		return nil
	}
	sum := 0.0
	for i, x := range size {
		size[i] = max(x, 1e-8*most)
		sum += math.Log(size[i])
	}
	mean := math.Exp(sum / float64(len(size)))
	for i, x := range size {
		size[i] = max(x/mean, 1e-4)
	}
	return size
}

// fewDigits rounds to a power of two times one of eighths, within 2^-10 and 2^10.
func fewDigits(x float64) float32 {
	fraction, exponent := math.Frexp(min(max(x, 0x1p-10), 0x1p10))
	return float32(math.Ldexp(math.Round(fraction*16)/16, exponent))
}

// trial rounds rows with their columns scaled.
type trial struct {
	*Smoothing
	rows, back []float32
	block      quant.Block
	errors     dense.Matrix // [cols, rows]
	products   dense.Matrix
}

func newTrial(s *Smoothing) *trial {
	n := len(s.Rows)
	t := &trial{Smoothing: s, rows: make([]float32, n), back: make([]float32, n)}
	t.errors = dense.Matrix{Data: make([]float32, n), Stride: n / s.Input.Cols}
	t.products = dense.Matrix{Data: make([]float32, n), Stride: n / s.Input.Cols}
	return t
}

// loss is e H transpose(e) of the rows that are scaled by factors, rounded and scaled back; infinite where they can not be rounded.
func (t *trial) loss(factors []float32) float64 {
	cols := t.Input.Cols
	factor := func(c int) float32 {
		if factors == nil {
			return 1
		}
		return factors[t.Factor(c)]
	}
	for i, w := range t.Rows {
		t.rows[i] = w * factor(i%cols)
	}
	if err := t.Format.Quantize(&t.block, t.rows, cols); err != nil {
		return math.Inf(1)
	}
	t.Format.Dequantize(t.back, &t.block)
	for i, w := range t.Rows {
		t.errors.Data[i%cols*t.errors.Stride+i/cols] = t.back[i]/factor(i%cols) - w
	}
	return t.Input.loss(t.errors, t.products)
}

// loss is the sum of e H transpose(e) over errors e, [cols, rows], where H is the moments. products is scratch of that size.
func (in *Input) loss(errors, products dense.Matrix) float64 {
	clear(products.Data)
	strip := dense.Matrix{Data: make([]float32, rowsOfResult*in.Cols), Stride: in.Cols}
	for i := 0; i < in.Cols; i += rowsOfResult {
		n := min(rowsOfResult, in.Cols-i)
		for k := range n { // H is symmetric: what is above the block on the diagonal counts twice
			row := strip.Row(k, in.Cols-i)
			for j := range row {
				switch {
				case j < k:
					row[j] = in.Moments[(i+j)*in.Cols+i+k]
				case j < n:
					row[j] = in.Moments[(i+k)*in.Cols+i+j]
				default:
					row[j] = 2 * in.Moments[(i+k)*in.Cols+i+j]
				}
			}
		}
		dense.AddTransposed(products.At(i, 0), strip, errors.At(i, 0), in.Cols-i, errors.Stride, n)
	}
	sum := 0.0
	for i, e := range errors.Data {
		sum += float64(e) * float64(products.Data[i])
	}
	return sum
}
