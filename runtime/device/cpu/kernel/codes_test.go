package kernel

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// Codes of 4 bits, what they and those of e4m3 lose, and what kernels make of them, are the references' bits on every set.
func TestCodes(t *testing.T) {
	for _, set := range Detect() {
		r := rand.New(rand.NewPCG(41, 42))
		for range 300 {
			x := wildRow(r, 1+r.IntN(200))
			inverse := r.Float32() * 40
			n, p := len(x), &x[0]
			for name, loss := range map[string][2]func(*float32, int, float32) float32{
				"e4m3": {set.row.lossE4M3, codeReference.lossE4M3}, "u4": {set.row.lossU4, codeReference.lossU4},
			} {
				if got, want := loss[0](p, n, inverse), loss[1](p, n, inverse); !sameBits(got, want) {
					t.Fatalf("%s: %s of %d numbers loses %g, want %g", set.Name, name, n, got, want)
				}
			}
			got, want := make([]byte, n+64), make([]byte, n+64)
			set.row.codesU4(unsafe.Pointer(&got[0]), p, n, inverse)
			codeReference.codesU4(unsafe.Pointer(&want[0]), p, n, inverse)
			if !bytes.Equal(got, want) {
				t.Fatalf("%s: %d codes are %v, want %v", set.Name, n, got, want)
			}
			lines := 1 + r.IntN(9)
			packed := make([]byte, 64*lines)
			for i := range packed {
				packed[i] = byte(r.Uint32())
			}
			got, want = make([]byte, 128*lines+64), make([]byte, 128*lines+64)
			set.row.openU4(unsafe.Pointer(&got[0]), unsafe.Pointer(&packed[0]), lines, unsafe.Pointer(&packed[0]))
			codeReference.openU4(unsafe.Pointer(&want[0]), unsafe.Pointer(&packed[0]), lines, nil)
			if !bytes.Equal(got, want) {
				for i := range got {
					if got[i] != want[i] {
						t.Fatalf("%s: %d lines: byte %d is %d, want %d", set.Name, lines, i, got[i], want[i])
					}
				}
			}
		}
	}
}
