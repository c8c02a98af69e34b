package stored

import (
	"math"
	"strings"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// attachMXFP4 reads the experts of gpt-oss (OCP Microscaling Formats, version 1.0): a stack of E matrices [N, K] called X is
//
//	X_blocks [E, N, K/32, 16] bytes of two e2m1, the first in the lower half
//	X_scales [E, N, K/32] exponents of two, with 127 added
//
// It becomes X of [E, N, K], outputs first, unlike the unquantized tensor of that name.
func attachMXFP4(c *hf.Checkpoint, f *hf.Fields) error {
	const suffix = "_blocks"
	for _, name := range c.Names() {
		stack, ok := strings.CutSuffix(name, suffix)
		if !ok {
			continue
		}
		l := &linear{c: c, name: stack}
		l.first = l.optional(suffix)
		if err := l.attachMX(stack); err != nil {
			return err
		}
	}
	return f.Err()
}

// mxBlock is how many elements share an exponent; they take half as many bytes.
const mxBlock = 32

// mxMatrix is a stack of matrices, whose rows are counted through all of them.
type mxMatrix struct {
	blocks, scales *hf.Tensor // [rows, cols/2] and [rows, cols/32]
	cols           int64
}

func (l *linear) attachMX(stack string) error {
	s := l.first.Shape
	if len(s) != 4 || s[0] < 1 || s[1] < 1 || s[2] < 1 || s[3] != mxBlock/2 {
		return l.first.Errorf("has shape %v instead of [experts, outputs, blocks, 16]", s)
	}
	l.check(l.first, octets, s)
	scales := l.part("_scales", octets, s[:3])
	if l.err != nil {
		return l.err
	}
	matrix, err := newMXMatrix("mxfp4", l.first, scales, s[2]*mxBlock)
	if err != nil {
		return err
	}
	l.c.Drop(l.parts...)
	l.c.PutCoded(stack, matrix.Method, []int64{s[0], s[1], matrix.cols}, matrix, l.first)
	return nil
}

// attachMXLinear reads a linear of [N, K/2] such bytes, with weight_scale [N, K/32].
func (l *linear) attachMXLinear(method string) error {
	rows, bytes, ok := l.matrix()
	if !ok {
		return l.err
	}
	l.check(l.first, octets, l.first.Shape)
	if l.err == nil && bytes%(mxBlock/2) != 0 {
		return l.first.Errorf("has rows of %d codes, which are not blocks of %d", 2*bytes, mxBlock)
	}
	scales := l.part("weight_scale", octets, []int64{rows, 2 * bytes / mxBlock})
	if l.err != nil {
		return l.err
	}
	matrix, err := newMXMatrix(method, l.first, scales, 2*bytes)
	if err == nil {
		put(l.c, l.name+"weight", rows, matrix, l.parts...)
	}
	return err
}

// newMXMatrix makes a matrix of blocks and their exponents.
func newMXMatrix(method string, blocks, scales *hf.Tensor, cols int64) (*Matrix, error) {
	m := &mxMatrix{cols: cols}
	var err error
	if m.blocks, err = blocks.View(cols / 2); err != nil {
		return nil, err
	}
	if m.scales, err = scales.View(cols / mxBlock); err != nil {
		return nil, err
	}
	normal, err := m.look()
	if err != nil {
		return nil, err
	}
	matrix := &Matrix{Method: method, Plain: dtype.F32, cols: cols, source: m}
	if normal {
		matrix.Plain = dtype.BF16
		matrix.Format, err = quant.Find("mxfp4")
	}
	return matrix, err
}

// look checks all exponents. Their numbers are those of the format, and bf16, but where half of one is below normal numbers.
func (m *mxMatrix) look() (normal bool, err error) {
	normal = true
	row := make([]byte, m.scales.Cols())
	for r := range m.scales.Rows() {
		if err := m.scales.ReadRaw(row, r, r+1); err != nil {
			return false, err
		}
		for i, e := range row {
			if e > 252 { // six times it is beyond f32; 255 is not a number
				return false, m.scales.Errorf("exponent %d of row %d, block %d is out of range", e, r, i)
			}
			normal = normal && e >= 2
		}
	}
	return normal, nil
}

// read brings the codes, two in a byte, and the exponents of n rows from lo on.
func (m *mxMatrix) read(lo, n int64) (codes, exponents []byte, err error) {
	codes, exponents = make([]byte, n*m.cols/2), make([]byte, n*m.cols/mxBlock)
	if err := m.blocks.ReadRaw(codes, lo, lo+n); err != nil {
		return nil, nil, err
	}
	return codes, exponents, m.scales.ReadRaw(exponents, lo, lo+n)
}

func (m *mxMatrix) values(dst []float32, lo int64) error {
	codes, exponents, err := m.read(lo, int64(len(dst))/m.cols)
	if err != nil {
		return err
	}
	for i, c := range codes {
		scale := exponent(exponents[i/(mxBlock/2)])
		dst[2*i], dst[2*i+1] = dtype.E2M1ToF32(c)*scale, dtype.E2M1ToF32(c>>4)*scale
	}
	return nil
}

func (m *mxMatrix) codes(b *quant.Block, _ *quant.Format, lo int64) error {
	codes, exponents, err := m.read(lo, int64(b.Rows))
	if err != nil {
		return err
	}
	for i, c := range codes {
		b.Codes[2*i], b.Codes[2*i+1] = c&15, c>>4
	}
	for i, e := range exponents {
		b.Scales[i] = exponent(e)
	}
	return nil
}

// exponent returns two to the power of e-127.
func exponent(e uint8) float32 { return float32(math.Ldexp(1, int(e)-127)) }
