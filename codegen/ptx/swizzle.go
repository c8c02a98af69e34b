package ptx

// Swizzle is how shared memory is permuted so that columns of a tile spread over the banks: units of 16 bytes within rows
// of 128 bytes are exchanged (section 9.7.15.5.1.2, "Swizzling modes").
type Swizzle uint8

// Swizzles, named by the width in bytes over which units are exchanged.
const (
	NoSwizzle Swizzle = iota
	Swizzle32
	Swizzle64
	Swizzle128
)

// swizzles is indexed by Swizzle: mask selects the bits of the unit that change, code is the field of the
// matrix descriptor (table "Matrix descriptor layout", bits 62-63).
var swizzles = [...]struct {
	width int
	mask  int
	code  uint64
}{
	NoSwizzle:  {16, 0, 0},
	Swizzle32:  {32, 1, 3},
	Swizzle64:  {64, 3, 2},
	Swizzle128: {128, 7, 1},
}

// Width is the width of a row in bytes: 16 without a swizzle.
func (s Swizzle) Width() int { return swizzles[s].width }

// Align is what a tile's address must be a multiple of so that the pattern starts at its beginning: eight rows.
func (s Swizzle) Align() int { return 8 * swizzles[s].width }

// Apply gives the place of a byte: the offset counts from an address that is a multiple of 1024. Bits 4 to 6, the unit
// within 128 bytes, are exchanged by bits 7 to 9, the number of the line.
func (s Swizzle) Apply(offset int) int { return offset ^ offset>>3&(swizzles[s].mask<<4) }

// Swizzled is the offset in a register permuted as Apply does.
func (b *Builder) Swizzled(s Swizzle, offset Reg) Reg {
	if s == NoSwizzle {
		return offset
	}
	v := b.plainView()
	return b.Xor(offset, v.And(v.Shr(offset, 3), swizzles[s].mask<<4))
}
