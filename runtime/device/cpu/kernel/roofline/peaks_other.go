//go:build !amd64

package roofline

// Peaks lists the instructions that linear kernels are made of: none on this architecture.
var Peaks []Peak

// ReadUnit is what the length of what Read reads is rounded down to.
const ReadUnit = 512

// Read reads p front to back, up to a multiple of ReadUnit.
func Read(p []byte) (x uint64) {
	for _, b := range p[:len(p)&^(ReadUnit-1)] {
		x ^= uint64(b)
	}
	return x
}
