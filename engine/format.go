package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"llmc/engine/layout"
)

// The plan format, version 1.0. docs/plan-format.md describes every byte.
//
// A plan is a 64-byte prologue, a msgpack header, and sections that start at multiples of SectionAlign. The header
// holds the hash of everything else, so its own hash identifies the plan.
const (
	FormatMajor = 1 // a reader refuses any other
	FormatMinor = 0 // a reader accepts newer ones and ignores header fields and section kinds that it does not know

	SectionAlign    = 4096
	WeightAlign     = 64   // every weight
	WeightAlignPage = 4096 // weights of at least WeightPageFrom bytes
	WeightPageFrom  = 64 << 10

	prologueBytes  = 64
	maxHeaderBytes = 16 << 20
	maxSections    = 4096
	maxWeights     = 1 << 16
	maxFileBytes   = 1 << 50
	maxLoadedBytes = 512 << 20 // of all sections that Open reads
	maxNameBytes   = 1 << 10
)

// magic follows the reasoning of PNG's signature: a byte with the high bit set, line endings and a control-Z reveal
// files that were transferred as text.
var magic = [8]byte{0x89, 'L', 'L', 'M', '\r', '\n', 0x1a, '\n'}

// Header lists everything in the file.
type Header struct {
	Major    int   `msgpack:"major"` // as in the prologue, where no hash covers them
	Minor    int   `msgpack:"minor"`
	FileSize int64 `msgpack:"file_size"`
	// Sections are in the order of their offsets.
	Sections []Section     `msgpack:"sections,omitempty"`
	Weights  []WeightEntry `msgpack:"weights,omitempty"`
}

// Section is a range of bytes of the file.
type Section struct {
	Kind   string `msgpack:"kind"` // a row of the kinds table
	Name   string `msgpack:"name,omitempty"`
	Offset int64  `msgpack:"offset"` // from the start of the file
	Size   int64  `msgpack:"size"`
	// SHA256 is of the section's bytes; for the weights section, of the SHA256 of all weights one after the other.
	SHA256 []byte `msgpack:"sha256"`
}

// WeightEntry describes one weight of the weights section.
type WeightEntry struct {
	Name string `msgpack:"name"`
	// Layout is a packed layout of engine/layout for a matrix [N, K], or "" for a row-major tensor of DType.
	Layout string `msgpack:"layout,omitempty"`
	DType  string `msgpack:"dtype,omitempty"`  // element type of a row-major tensor: "f32", "bf16", ...
	Format string `msgpack:"format,omitempty"` // quantization format, for people: "bf16", "int4.g64"
	// Shape is the logical shape, before padding: [N, K] of a packed matrix, [experts, N, K] of a packed stack of them.
	Shape []int64 `msgpack:"shape,omitempty"`
	// Segment is the length of the parts of K that are summed apart, 0 when K is one segment.
	Segment int64  `msgpack:"segment,omitempty"`
	Offset  int64  `msgpack:"offset"` // from the start of the weights section
	Bytes   int64  `msgpack:"bytes"`
	SHA256  []byte `msgpack:"sha256"`
	// Recipe says what the weight was made from: source tensors, slices, quantization options.
	Recipe string `msgpack:"recipe,omitempty"`
}

// N returns the number of outputs of a matrix, or of each of a stack, 0 for what is neither.
func (w *WeightEntry) N() int64 {
	if len(w.Shape) < 2 || len(w.Shape) > 3 {
		return 0
	}
	return w.Shape[len(w.Shape)-2]
}

// K returns the number of inputs of a matrix, or of each of a stack, 0 for what is neither.
func (w *WeightEntry) K() int64 {
	if len(w.Shape) < 2 || len(w.Shape) > 3 {
		return 0
	}
	return w.Shape[len(w.Shape)-1]
}

// Experts returns the number of matrices of a stack, 1 for what is none.
func (w *WeightEntry) Experts() int64 {
	if len(w.Shape) != 3 {
		return 1
	}
	return w.Shape[0]
}

// Packed describes the weight's layout.
func (w *WeightEntry) Packed() (layout.Packed, error) {
	switch len(w.Shape) {
	case 2:
		return layout.Find(w.Layout, int(w.N()), int(w.K()), int(w.Segment))
	case 3:
		return layout.NewStack(w.Layout, int(w.Experts()), int(w.N()), int(w.K()), int(w.Segment))
	}
	return nil, fmt.Errorf("shape %v of a packed matrix; it must be [N, K], or [experts, N, K]", w.Shape)
}

// weightAlign returns the alignment of a weight of n bytes inside its section.
func weightAlign(n int64) int64 {
	if n >= WeightPageFrom {
		return WeightAlignPage
	}
	return WeightAlign
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// prologue is what stands before the header.
type prologue struct {
	major, minor uint16
	headerBytes  uint32
	headerSum    [sha256.Size]byte
}

func (p *prologue) encode() []byte {
	b := make([]byte, prologueBytes)
	copy(b, magic[:])
	binary.LittleEndian.PutUint16(b[8:], p.major)
	binary.LittleEndian.PutUint16(b[10:], p.minor)
	binary.LittleEndian.PutUint32(b[12:], p.headerBytes)
	copy(b[16:], p.headerSum[:])
	return b
}

// decodePrologue checks magic and version, in that order, so that a plan of another version is called that and not damaged.
func decodePrologue(b []byte) (prologue, error) {
	var p prologue
	if len(b) < len(magic) || [8]byte(b[:8]) != magic {
		return p, fmt.Errorf("%w: it does not begin with the bytes of one", ErrNotPlan)
	}
	if len(b) < prologueBytes {
		return p, fmt.Errorf("%w: %d bytes, less than the first %d", ErrTruncated, len(b), prologueBytes)
	}
	p.major, p.minor = binary.LittleEndian.Uint16(b[8:]), binary.LittleEndian.Uint16(b[10:])
	p.headerBytes = binary.LittleEndian.Uint32(b[12:])
	copy(p.headerSum[:], b[16:])
	if p.major != FormatMajor {
		return p, fmt.Errorf("%w: it has version %d.%d and this program reads %d.x; use a release that reads version %d or build the plan again",
			ErrVersion, p.major, p.minor, FormatMajor, p.major)
	}
	for i, c := range b[48:] {
		if c != 0 {
			return p, fmt.Errorf("%w: reserved byte %d is %#x, not zero", ErrFormat, 48+i, c)
		}
	}
	if p.headerBytes == 0 || p.headerBytes > maxHeaderBytes {
		return p, fmt.Errorf("%w: header of %d bytes at byte 12; from 1 to %d are allowed", ErrFormat, p.headerBytes, maxHeaderBytes)
	}
	return p, nil
}

// digestText prints the hash of an encoded header: "sha256:" and hexadecimal digits.
func digestText(sum [sha256.Size]byte) string { return "sha256:" + hex.EncodeToString(sum[:]) }
