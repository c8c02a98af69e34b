// Package dense owns the products and factors of matrices in f32 that a build computes with: second moments of activations, and what GPTQ makes of them. Every element is
// summed in one order, products rounded before they are added, so that no processor and no number of threads changes a bit.
package dense

// tileRows and tileCols are the part of a result that the vector kernel holds in registers.
const (
	tileRows = 4
	tileCols = 16
)

// Matrix is rows of Stride numbers from Data on, of which as many are meant as a call says.
type Matrix struct {
	Data   []float32
	Stride int
}

// At returns the matrix from a row and a column on.
func (m Matrix) At(row, col int) Matrix { return Matrix{m.Data[row*m.Stride+col:], m.Stride} }

// Row returns n numbers of a row.
func (m Matrix) Row(row, n int) []float32 { return m.Data[row*m.Stride:][:n] }

// AddTransposed adds the product of a transposed, [k, rows], and b, [k, cols], to c, [rows, cols]: c[i][j] += a[0][i]*b[0][j], then a[1][i]*b[1][j], and so on.
func AddTransposed(c, a, b Matrix, rows, cols, k int) {
	if rows < 1 || cols < 1 || k < 1 {
		return
	}
	whole, wide := rows-rows%tileRows, cols-cols%tileCols
	if !hasKernel {
		whole = 0
	}
	if whole > 0 && wide > 0 {
		p := packs.Get().(*pack)
		p.add(c, a, b, whole, wide, k)
		packs.Put(p)
	}
	if whole > 0 && wide < cols {
		addPlain(c.At(0, wide), a, b.At(0, wide), whole, cols-wide, k)
	}
	if whole < rows {
		addPlain(c.At(whole, 0), a.At(0, whole), b, rows-whole, cols, k)
	}
}

// addPlain is AddTransposed in Go: what the kernel means, and what it leaves over.
func addPlain(c, a, b Matrix, rows, cols, k int) {
	for i := range rows {
		sum := c.Row(i, cols)
		for l := range k {
			f := a.Data[l*a.Stride+i]
			for j, v := range b.Row(l, cols) {
				sum[j] += float32(f * v)
			}
		}
	}
}
