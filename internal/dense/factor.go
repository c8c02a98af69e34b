package dense

import (
	"fmt"
	"math"
)

// factorBlock is how many columns of a factor are found at a time.
const factorBlock = 32

// UpperFactor replaces a symmetric positive definite matrix h, [n, n], of which only the diagonal and what is above it are read, by the upper triangular v with
// h = v*transpose(v), zeros below the diagonal. It is Cholesky's factor of the matrix with rows and columns in reverse order, so the last column is found first. It fails
// where h is not positive definite within rounding.
func UpperFactor(h []float32, n int) error {
	m := Matrix{h, n}
	above, less := make([]float32, factorBlock*n), make([]float32, factorBlock*n)
	for end := n; end > 0; {
		start := (end - 1) / factorBlock * factorBlock
		if err := factorDiagonal(m, start, end); err != nil {
			return err
		}
		width := end - start
		t, negative := Matrix{above, start}, Matrix{less, start} // [width, start], columns of v in rows
		for j := width - 1; j >= 0 && start > 0; j-- {
			column := t.Row(j, start)
			for i := range column {
				column[i] = h[i*n+start+j]
			}
			for k := j + 1; k < width; k++ {
				f := h[(start+j)*n+start+k]
				for i, v := range t.Row(k, start) {
					column[i] -= float32(f * v)
				}
			}
			inverse := 1 / h[(start+j)*n+start+j]
			for i := range column {
				column[i] *= inverse
				h[i*n+start+j] = column[i]
			}
		}
		for i, v := range above[:width*start] {
			less[i] = -v
		}
		subtractUpper(m, negative, t, start, width)
		end = start
	}
	for i := range n {
		clear(h[i*n : i*n+i])
	}
	return nil
}

// subtractUpper adds the product to the blocks of the first n rows and columns that are on the diagonal or above it.
func subtractUpper(m, negative, t Matrix, n, k int) {
	for i := 0; i < n; i += factorBlock {
		AddTransposed(m.At(i, i), negative.At(0, i), t.At(0, i), min(factorBlock, n-i), n-i, k)
	}
}

// factorDiagonal factors the block of rows and columns [start, end) alone.
func factorDiagonal(m Matrix, start, end int) error {
	for j := end - 1; j >= start; j-- {
		sum := float64(m.Data[j*m.Stride+j])
		for k := j + 1; k < end; k++ {
			v := float64(m.Data[j*m.Stride+k])
			sum -= float64(v * v)
		}
		if !(sum > 0) || math.IsInf(sum, 0) {
			return fmt.Errorf("the matrix is not positive definite: column %d of %d is left with %g", j, m.Stride, sum)
		}
		pivot := math.Sqrt(sum)
		m.Data[j*m.Stride+j] = float32(pivot)
		for i := start; i < j; i++ {
			sum := float64(m.Data[i*m.Stride+j])
			for k := j + 1; k < end; k++ {
				sum -= float64(float64(m.Data[i*m.Stride+k]) * float64(m.Data[j*m.Stride+k]))
			}
			m.Data[i*m.Stride+j] = float32(sum / pivot)
		}
	}
	return nil
}
