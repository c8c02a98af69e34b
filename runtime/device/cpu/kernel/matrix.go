package kernel

import (
	"fmt"
	"unsafe"

	"llmc/engine/layout"
)

// The kinds of linear micro-kernels: formats that differ only in group length share one.
const (
	kindF32 = iota
	kindBF16
	kindU8
	kindU4Nested
	kindU4
	kindU4Scale32
	kindU4Zeros
	kindU4ZerosScale32
	kindU4Levels
	kindU4Tiered // levels with scales of e4m3 and of outputs
	kindQ2K
	kindQ3K
	kindQ4K
	kindQ5K
	kindQ6K
	kindU4Minimums // Q4_1
	kindU5         // Q5_0
	kindU4Table    // IQ4_NL
	kindBF16Groups // the kernels of bf16, group by group, and never on tiles
	kindOpened     // those of f32, on numbers that are made before: see opened.go
	linearKinds
)

// kindKeys tells the kinds apart by their format's properties.
var kindKeys = [linearKinds]struct {
	kPerStep, scaleBytes int
	zeros, nested        bool
}{
	kindF32:            {1, 0, false, false},
	kindBF16:           {2, 0, false, false},
	kindU8:             {4, 4, false, false},
	kindU4Nested:       {8, 4, false, true},
	kindU4:             {8, 2, false, false},
	kindU4Scale32:      {8, 4, false, false},
	kindU4Zeros:        {8, 2, true, false},
	kindU4ZerosScale32: {8, 4, true, false},
	kindU4Levels:       {8, 1, false, false},
	kindBF16Groups:     {2, 4, false, false},
}

// composedKinds are formats of layout.Format.Composed whose inputs are codes.
var composedKinds = map[string]int{"q4m.g32": kindU4Minimums, "q5.g32": kindU5, "iq4.g32": kindU4Table}

// superKinds are the K-quants.
var superKinds = map[string]int{"q2k.g256": kindQ2K, "q3k.g256": kindQ3K, "q4k.g256": kindQ4K, "q5k.g256": kindQ5K, "q6k.g256": kindQ6K}

func kindOf(f *layout.Format) (int, error) {
	if kind, ok := superKinds[f.Name]; ok {
		return kind, nil
	}
	if kind, ok := composedKinds[f.Name]; ok {
		return kind, nil
	}
	if f.Tiered {
		return kindU4Tiered, nil
	}
	if f.Opened() {
		return kindOpened, nil
	}
	if scaled(f) && f.Group == 0 {
		return kindBF16, nil
	}
	for i, k := range kindKeys {
		if k.kPerStep > 0 && k.kPerStep == f.KPerStep && !f.Super() && k.scaleBytes == f.ScaleBytes && k.zeros == f.Zeros && k.nested == f.Nested {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no CPU kernel for weight layout %s", f.Name)
}

// scaled tells whether a format's scales are left to what comes behind the products: numbers of bf16 that stand for those of another format.
func scaled(f *layout.Format) bool { return f.KPerStep == 2 && f.ScaleBytes > 0 }

// Matrix is a packed weight that kernels can read.
type Matrix struct {
	layout.Linear
	Data     []byte
	Bias     []float32   // [N], added to the result; nil: none. N counts the padding of interleaved halves too
	Gate     *Activation // of a weight that interleaves gate and up; nil: silu
	kind     int
	input    layout.Activation
	oneDigit layout.Activation // what input becomes without its second digit
	panel    int               // PanelBytes
	scaled   bool              // products are multiplied with scales behind them
	outputs  int               // where in a panel the scales of outputs lie that products are multiplied with; 0: none
	wide     layout.Linear     // of u4n: what panels are expanded to
}

// NewMatrix checks that data holds the weight that l describes.
func NewMatrix(l layout.Linear, data []byte) (Matrix, error) {
	if err := l.Check(data); err != nil {
		return Matrix{}, err
	}
	kind, err := kindOf(l.Format)
	if err != nil {
		return Matrix{}, err
	}
	input := l.Input()
	w := Matrix{
		Linear: l, Data: data[:l.Bytes():l.Bytes()], kind: kind, input: input, oneDigit: input.OneDigit(), panel: l.PanelBytes(), scaled: scaled(l.Format),
	}
	switch {
	case l.Tiered:
		w.outputs = l.OutputOffset()
	case w.scaled && l.Group == 0:
		w.outputs = l.ScaleOffset(0)
	}
	if l.Nested {
		w.wide = l.Expanded()
	}
	return w, nil
}

// Part is the bytes of panels [lo, hi).
func (w *Matrix) Part(lo, hi int) []byte { return w.Data[lo*w.panel : hi*w.panel] }

// Rows is an activation: rows in one of the activation formats, Stride bytes apart.
type Rows struct {
	layout.Activation
	Data   []byte
	Stride int
	Added  *Added // to products of these rows; nil: nothing
}

// bytesOf views numbers as bytes.
func bytesOf(f []float32) []byte {
	if len(f) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&f[0])), 4*len(f))
}

// F32Rows views a plain f32 buffer [rows, k], ld numbers apart, as the input of an f32 linear.
func F32Rows(data []float32, k, ld int) (Rows, error) {
	a, err := layout.NewActivation("f32", k, 0)
	return Rows{Activation: a, Data: bytesOf(data), Stride: 4 * ld}, err
}
