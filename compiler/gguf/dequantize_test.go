package gguf

import (
	"math"
	"slices"
	"testing"

	"llmc/compiler/hf"
	"llmc/internal/quant"
)

// TestBlocks wants the numbers that the gguf package for Python makes of random blocks, bit for bit (testdata/blocks.py).
func TestBlocks(t *testing.T) {
	file, err := hf.OpenFile("testdata/blocks.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, kind := range tensorTypes {
		if kind.decode == nil {
			continue
		}
		blocks, numbers := file.Tensor(kind.name+".blocks"), file.Tensor(kind.name+".numbers")
		if blocks == nil || numbers == nil {
			t.Errorf("%s: no vectors", kind.name)
			continue
		}
		if numbers.Cols() != kind.block || blocks.Cols() != kind.bytes {
			t.Errorf("%s: blocks of %d elements in %d bytes, want %d in %d", kind.name, kind.block, kind.bytes, numbers.Cols(), blocks.Cols())
			continue
		}
		src, want := make([]byte, blocks.Elements()), make([]float32, numbers.Elements())
		if err := blocks.ReadRaw(src, 0, blocks.Rows()); err != nil {
			t.Fatal(err)
		}
		if err := numbers.ReadRows(want, 0, numbers.Rows()); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(want))
		kind.decode(got, src)
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
				t.Errorf("%s: element %d is %g, want %g", kind.name, i, got[i], want[i])
				break
			}
		}
	}
}

// eachBlock calls use with every block of the vectors of a type and its numbers.
func eachBlock(t *testing.T, kind *tensorType, use func(src []byte, want []float32)) {
	t.Helper()
	file, err := hf.OpenFile("testdata/blocks.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	blocks, numbers := file.Tensor(kind.name+".blocks"), file.Tensor(kind.name+".numbers")
	src, want := make([]byte, kind.bytes), make([]float32, kind.block)
	for r := range blocks.Rows() {
		if err := blocks.ReadRaw(src, r, r+1); err != nil {
			t.Fatal(err)
		}
		if err := numbers.ReadRows(want, r, r+1); err != nil {
			t.Fatal(err)
		}
		use(src, want)
	}
}

// TestCodes wants the codes and scales, and the digits, of a block to stand for its numbers, bit for bit.
func TestCodes(t *testing.T) {
	tested := 0
	for i := range tensorTypes {
		kind := &tensorTypes[i]
		if kind.codes == nil && kind.digits == nil {
			continue
		}
		tested++
		eachBlock(t, kind, func(src []byte, want []float32) {
			if kind.codes != nil {
				format, err := quant.Find(kind.format)
				if err != nil {
					t.Fatal(err)
				}
				var b quant.Block
				b.Resize(format, 1, len(want))
				row := rowOf(&b, 0)
				kind.codes(&row, src)
				got := make([]float32, len(want))
				format.Dequantize(got, &b)
				if !slices.Equal(got, want) {
					t.Errorf("%s: codes stand for %v, want %v", kind.name, got, want)
				}
			}
			if kind.digits != nil {
				if got := digitNumbers(t, kind, src); !slices.Equal(got, want) {
					t.Errorf("%s: digits stand for %v, want %v", kind.name, got, want)
				}
			}
		})
	}
	if tested != 13 {
		t.Errorf("%d types have codes or digits", tested)
	}
}

// digitNumbers returns what the digits of a block stand for.
func digitNumbers(t *testing.T, kind *tensorType, src []byte) []float32 {
	d := digits{upper: make([]uint8, 32), lower: make([]uint8, 32)}
	kind.digits(&d, src)
	got := make([]float32, 32)
	for i := range got {
		upper, lower := float32(int(d.upper[i])-int(d.upperZero))*d.upperScale, float32(int(d.lower[i])-int(d.lowerZero))*d.lowerScale
		if got[i] = upper + lower; d.upper[i] > 15 || d.lower[i] > 15 {
			t.Fatalf("%s: digits %d and %d", kind.name, d.upper[i], d.lower[i])
		}
	}
	return got
}
