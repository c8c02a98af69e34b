package stored

import (
	"math"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// nvGroup is how many inputs share a scale of e4m3.
const nvGroup = 16

// nvMatrix is a matrix of NVFP4: bytes of two codes of e2m1, the first in the lower half, and scales of e4m3 for each 16 inputs; one of f32 above these.
type nvMatrix struct {
	codesOf, scale *hf.Tensor // [rows, cols/2] and [rows, cols/16]
	cols           int64
	of             float32
}

// attachNVFP4 reads a linear whose codes are the first part and whose scales of groups are called weight_scale. The scale of all is in the part global, or one by it is.
func (l *linear) attachNVFP4(method, global string, inverse bool) error {
	rows, bytes, ok := l.matrix()
	if !ok {
		return l.err
	}
	l.check(l.first, octets, l.first.Shape)
	if l.err == nil && bytes%(nvGroup/2) != 0 {
		return l.first.Errorf("has rows of %d codes, which are not groups of %d", 2*bytes, nvGroup)
	}
	m := &nvMatrix{codesOf: l.first, cols: 2 * bytes}
	m.scale = l.part("weight_scale", e4m3, []int64{rows, m.cols / nvGroup})
	of := l.part(global, floats, []int64{}, []int64{1}, []int64{1, 1})
	if l.err != nil {
		return l.err
	}
	scale := make([]float32, 1)
	if err := fillFirst(scale, of); err != nil {
		return err
	}
	if m.of = scale[0]; inverse {
		m.of = 1 / m.of
	}
	if err := finite(of, m.of, 0); err != nil {
		return err
	}
	if m.of > quant.MostRowScale || m.of < -quant.MostRowScale {
		return of.Errorf("is %g, with which numbers are beyond f32; the checkpoint is damaged", scale[0])
	}
	if err := m.look(); err != nil {
		return err
	}
	matrix, err := m.matrix(method)
	if err != nil {
		return err
	}
	put(l.c, l.name+"weight", rows, matrix, l.parts...)
	return nil
}

// matrix finds the format that holds the codes, and the plain type that holds the numbers.
func (m *nvMatrix) matrix(method string) (*Matrix, error) {
	matrix := &Matrix{Method: method, Plain: dtype.F32, cols: m.cols, source: m}
	if size := math.Abs(float64(m.of)); size != 0 && size < quant.LeastRowScale {
		return matrix, nil
	}
	part, _ := math.Frexp(float64(m.of))
	if math.Abs(part) == 0.5 || part == 0 { // e2m1 times e4m3 has six bits
		matrix.Plain = dtype.BF16
	}
	var err error
	matrix.Format, err = quant.Find("nvfp4")
	return matrix, err
}

// look checks all scales: those of NVFP4 are not negative.
func (m *nvMatrix) look() error {
	row := make([]byte, m.scale.Cols())
	for r := range m.scale.Rows() {
		if err := m.scale.ReadRaw(row, r, r+1); err != nil {
			return err
		}
		for i, c := range row {
			if c&0x7f == 0x7f || c > 0x80 {
				return m.scale.Errorf("the scale of output %d, inputs from %d on is %g; the checkpoint is damaged", r, i*nvGroup, dtype.E4M3ToF32(c))
			}
		}
	}
	return nil
}

// read brings the codes, two in a byte, and the scales of groups of n rows from lo on.
func (m *nvMatrix) read(lo, n int64) (codes []byte, scales []float32, err error) {
	codes, raw := make([]byte, n*m.cols/2), make([]byte, n*m.cols/nvGroup)
	if err := m.codesOf.ReadRaw(codes, lo, lo+n); err != nil {
		return nil, nil, err
	}
	scales = make([]float32, len(raw))
	err = m.scale.ReadRaw(raw, lo, lo+n)
	for i, c := range raw {
		scales[i] = dtype.E4M3ToF32(c & 0x7f) // of minus zero too
	}
	return codes, scales, err
}

// values multiplies as the library that writes these checkpoints does: scales first.
func (m *nvMatrix) values(dst []float32, lo int64) error {
	codes, scales, err := m.read(lo, int64(len(dst))/m.cols)
	if err != nil {
		return err
	}
	for i, c := range codes {
		scale := float32(scales[i/(nvGroup/2)] * m.of)
		dst[2*i], dst[2*i+1] = dtype.E2M1ToF32(c)*scale, dtype.E2M1ToF32(c>>4)*scale
	}
	return nil
}

// codes repeats the scale of all for each row.
func (m *nvMatrix) codes(b *quant.Block, f *quant.Format, lo int64) error {
	codes, scales, err := m.read(lo, int64(b.Rows))
	if err != nil {
		return err
	}
	for i, c := range codes {
		b.Codes[2*i], b.Codes[2*i+1] = c&15, c>>4
	}
	groups, all := f.Groups(b.Cols), f.Scales(b.Cols)
	for r := range b.Rows {
		copy(b.Scales[r*all:], scales[r*groups:(r+1)*groups])
		b.Scales[r*all+groups] = m.of
	}
	return nil
}
