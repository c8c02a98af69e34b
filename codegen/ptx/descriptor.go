package ptx

// Tile says how an operand of wgmma lies in shared memory. Elements are bytes here: a K of 16 bf16 is 32 bytes.
//
// By K (the usual way), the tile consists of blocks of 8 rows by Swizzle.Width bytes, each row after the other. Stride
// is the distance of blocks along M or N. Without a swizzle, Leading is the distance of blocks along K, each 16 bytes
// wide; with one, the instruction's K lies within a row and Leading is not used.
//
// By M or N (transposed, 16-bit elements only), rows run along M or N and K goes down: blocks of Width bytes by 8
// steps of K. With a swizzle Leading is the distance of blocks along M or N, Stride along K; without one the other way
// round. Section 9.7.15.5.1.2.1, "Strides".
type Tile struct {
	Swizzle         Swizzle
	Leading, Stride int // bytes, multiples of 16
}

// KTile is a tile by K whose rows are as wide as the swizzle: blocks follow each other along M or N.
func KTile(s Swizzle) Tile { return Tile{Swizzle: s, Leading: 16, Stride: 8 * s.Width()} }

// Offset is where byte k of row lies in a tile by K; k stays below the swizzle's width when there is one.
func (t Tile) Offset(row, k int) int {
	width := t.Swizzle.Width()
	if t.Swizzle == NoSwizzle {
		return row/8*t.Stride + k/width*t.Leading + row%8*width + k%width
	}
	return t.Swizzle.Apply(row/8*t.Stride + row%8*width + k)
}

// OffsetTransposed is where byte m along M or N of step k lies in a tile by M or N.
func (t Tile) OffsetTransposed(m, k int) int {
	width := t.Swizzle.Width()
	alongM, alongK := t.Leading, t.Stride
	if t.Swizzle == NoSwizzle {
		alongM, alongK = t.Stride, t.Leading
	}
	return t.Swizzle.Apply(m/width*alongM + k/8*alongK + k%8*width + m%width)
}

// Fields of the matrix descriptor (section 9.7.15.5.1.2.2): addresses and distances count 16 bytes in 14 bits.
const (
	descriptorAddressBits = 14
	descriptorLeadingAt   = 16
	descriptorStrideAt    = 32
	descriptorSwizzleAt   = 62
)

// Encode is the descriptor of a tile at a shared-memory address, a multiple of 16.
func (t Tile) Encode(address int) uint64 {
	field := func(v int) uint64 { return uint64(v>>4) & (1<<descriptorAddressBits - 1) }
	return field(address) | field(t.Leading)<<descriptorLeadingAt | field(t.Stride)<<descriptorStrideAt |
		swizzles[t.Swizzle].code<<descriptorSwizzleAt
}

// Descriptor is the descriptor of a tile at that address.
func (b *Builder) Descriptor(t Tile, address Reg) Reg {
	if t.Leading%16 != 0 || t.Stride%16 != 0 {
		b.fail("descriptor: distances %d and %d are no multiples of 16", t.Leading, t.Stride)
	}
	v := b.plainView()
	rest := t.Encode(0)
	field := v.Extract(address.As(U32), 4, descriptorAddressBits)
	low := v.Or(field, uint32(rest))
	return b.Pack(B64, low, v.Const(U32, uint32(rest>>32)))
}

// Advance is the descriptor moved by bytes, a multiple of 16: to the next K within a tile, to the next stage.
func (b *Builder) Advance(descriptor Reg, bytes int) Reg {
	if bytes%16 != 0 {
		b.fail("descriptor moved by %d bytes: wants a multiple of 16", bytes)
	}
	if bytes == 0 {
		return descriptor
	}
	return b.Add(descriptor.As(U64), bytes/16).As(B64)
}
