package stored

import (
	"fmt"
	"slices"

	"llmc/internal/quant"
)

// digits are the codes of 8 bits of a grid as two of 4, for which there are kernels with groups and zero points: c - z is 16*(c/16 - z/16) + (c%16 - z%16). A
// row has the upper digits of all columns, with scales 16 times as large, then the lower ones; so the input is to be given twice. Nothing is rounded.
type digits struct {
	*grid
	format *quant.Format
}

// DigitsName is the tensor that holds the digits of a weight.
func DigitsName(weight string) string { return companion(weight, "digits") }

// newDigits returns the digits of a grid, nil where its codes have no digits that kernels multiply.
func newDigits(method string, g *grid, s survey) *Matrix {
	group := g.kernelGroup()
	for group > 0 && g.cols%group != 0 { // the lower digits begin with a group
		group /= 2
	}
	if g.bits != 8 || g.groupOf != nil || group < 32 || !s.half || s.limit > mostF16/16 || s.least < 0 || s.most > 255 {
		return nil
	}
	f, err := quant.Find(fmt.Sprintf("int4-g%d-zp", group))
	if err != nil {
		return nil
	}
	order := g.order
	if order == nil {
		for k := range int32(g.cols) {
			order = append(order, k)
		}
	}
	return &Matrix{Method: method + ", two digits", Format: f, Order: slices.Concat(order, order), cols: 2 * g.cols, source: &digits{g, f}}
}

// mostF16 is the largest number of f16.
const mostF16 = 65504

func (d *digits) codes(b *quant.Block, f *quant.Format, lo int64) error {
	codes, scales, zeros, err := d.read(lo, lo+int64(b.Rows))
	if err != nil {
		return err
	}
	have, want, half := d.groups(), int64(f.Groups(b.Cols)), int64(f.Groups(int(d.cols)))
	for r := range int64(b.Rows) {
		upper := b.Codes[r*int64(b.Cols):]
		lower := upper[d.cols:]
		for k, c := range codes[r*d.cols : (r+1)*d.cols] {
			upper[k], lower[k] = c>>4, c&15
		}
		for n := range half {
			from := r*have + d.groupAt(n*int64(f.Group))
			to := r*want + n
			b.Scales[to], b.Zeros[to] = 16*scales[from], uint8(zeros[from]>>4)
			b.Scales[to+half], b.Zeros[to+half] = scales[from], uint8(zeros[from]&15)
		}
	}
	return nil
}

func (d *digits) values(dst []float32, lo int64) error {
	var b quant.Block
	cols := 2 * int(d.cols)
	b.Resize(d.format, len(dst)/cols, cols)
	if err := d.codes(&b, d.format, lo); err != nil {
		return err
	}
	d.format.Dequantize(dst, &b)
	return nil
}

// unsorted is the grid with its columns in the order of the file.
func (g *grid) unsorted() *grid {
	plain := *g
	if g.order != nil {
		plain.order, plain.groupOf = nil, make([]int32, g.cols)
		for k, from := range g.order {
			plain.groupOf[from] = int32(g.groupAt(int64(k)))
		}
	}
	return &plain
}
