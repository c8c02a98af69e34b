package cuda

import (
	"llmc/codegen/ptx"
	"llmc/internal/dtype"
)

// tileFormat is how keys and values lie in shared memory and come to the matrix units.
//
// Numbers are multiplied as they are. Codes of 8 bits become f16, which holds all of them exactly, on their way from shared memory to the
// operands: a tile then takes half the shared memory and bandwidth, and where few queries read a long cache, each code is converted once.
// Two f16 are made of codes in two instructions or three, where bf16 would take five.
//
// The scale of a key multiplies its scores, in f32. That of a value multiplies the value, in f16, since a product adds up values of several
// positions.
//
// A matrix of 8x8 16-bit elements holds 16 channels of codes. A lane gets channels 4t to 4t+3 of a key where it would get numbers
// 2t, 2t+1 and 2t+8, 2t+9: queries are stored in that order. Transposed, it gets channels 2g and 2g+1 of two positions, so that the two
// blocks of 8 results are those of even channels and of odd ones.
//
// Of codes of 4 bits such a matrix holds 32 channels: a lane gets channels 8t to 8t+7 of a key, which are operands of two products, and transposed channels
// 4g to 4g+3 of two positions, for four blocks of results. The channels that the matrix units see are a multiple of 32 there. Those behind the last one have
// some numbers: queries are zero there, and nobody reads such results.
//
//	channels of  word of a key  operand, k of it   blocks of results, of 8 channels each     the lane's results
//	8 bits       4t .. 4t+3     4t, 4t+1 | +2, +3  2g; 2g+1                                  4t .. 4t+3
//	4 bits       8t .. 8t+7     8t, 8t+1 | +2, +3  4g; 4g+1; 4g+2; 4g+3                      8t .. 8t+7
//	                            +4, +5   | +6, +7
type tileFormat struct {
	number, pair ptx.Type
	mma          ptx.MMA
	codes        *codeFormat // nil: numbers
}

// codeFormat turns codes into pairs of f16.
type codeFormat struct {
	// expand makes f16 of the codes of a word: of the first two, then of the next two, and so on, or where alternate is set of the first of each
	// half, then of the second of each, and so on.
	expand func(a *attend, word ptx.Reg, alternate bool) []ptx.Reg
	factor float64 // what the numbers are too small by
}

var tileFormats = map[dtype.Type]tileFormat{
	dtype.BF16:   {ptx.BF16, ptx.BF16x2, ptx.MmaBF16, nil},
	dtype.F16:    {ptx.F16, ptx.F16x2, ptx.MmaF16, nil},
	dtype.I8:     {ptx.F16, ptx.F16x2, ptx.MmaF16, &codeFormat{(*attend).expandInt8, 1}},
	dtype.F8E4M3: {ptx.F16, ptx.F16x2, ptx.MmaF16, &codeFormat{(*attend).expandE4M3, 1}},
	dtype.U4:     {ptx.F16, ptx.F16x2, ptx.MmaF16, &codeFormat{(*attend).expandU4, 1}},
}

// shiftedE4M3 is for targets that can not convert e4m3. Codes become f16 by a shift, 2^8 too small: the difference of the exponents' biases.
var shiftedE4M3 = codeFormat{(*attend).shiftE4M3, 0x1p8}

func tileFormatOf(e *entry) tileFormat {
	t := e.kv().DType
	f := tileFormats[t]
	if t == dtype.F8E4M3 && !e.convertsE4M3 {
		f.codes = &shiftedE4M3
	}
	return f
}

// int8Offset is what expandInt8 subtracts: the bias of codes too.
const int8Offset = 1024 + 128

// expandInt8 puts codes below the exponent of 1024, from which they and 128 are then subtracted.
func (a *attend) expandInt8(word ptx.Reg, alternate bool) (pairs []ptx.Reg) {
	const exponent = 0x64646464
	selectors := [2]int{0x4140, 0x4342}
	if alternate {
		selectors = [2]int{0x4240, 0x4341}
	}
	for _, selector := range selectors {
		pairs = append(pairs, a.e.Sub(a.e.Permute(word, exponent, selector).As(ptx.F16x2), a.int8Offset))
	}
	return pairs
}

func (a *attend) expandE4M3(word ptx.Reg, alternate bool) (pairs []ptx.Reg) {
	if alternate {
		word = a.e.Permute(word, 0, 0x3120)
	}
	low, high := a.e.Unpack(ptx.E4M3x2, word)
	return []ptx.Reg{a.e.Cvt(ptx.F16x2, low), a.e.Cvt(ptx.F16x2, high)}
}

func (a *attend) shiftE4M3(word ptx.Reg, alternate bool) (pairs []ptx.Reg) {
	selectors := [2]int{0x1404, 0x3424} // each code the upper byte of a half
	if alternate {
		selectors = [2]int{0x2404, 0x3414}
	}
	for _, selector := range selectors {
		codes := a.e.Permute(word, 0, selector)
		rest := a.e.And(a.e.Shr(codes, 1), 0x3f803f80)
		pairs = append(pairs, a.e.Lop3(codes, 0x80008000, rest, func(x, y, z uint8) uint8 { return x&y | z }).As(ptx.F16x2))
	}
	return pairs
}

// scaled tells whether keys and values have scales in shared memory.
func (a *attend) scaled() bool { return a.format.codes != nil }

// codedKeys tells whether keys are codes when scores are computed. Where they turn, they have become numbers.
func (a *attend) codedKeys() bool { return a.scaled() && !a.e.turnsOnRead() }

// tileScale is where the scale of a position lies in a slot, behind the rows.
func (a *attend) tileScale() int { return attentionTile * a.tileRowBytes() }

// channelBytes is the size of n channels in a row of a tile, which share no byte with others.
func (a *attend) channelBytes(n int) int { return n * a.e.kv().DType.Bits() / 8 }

// span is how many channels 16 bytes of a row of codes have, or a product of numbers: those that are read at once.
func (a *attend) span() int {
	if !a.scaled() {
		return 16
	}
	return 128 / a.e.kv().DType.Bits()
}

// spanBlocks is how many blocks of 8 channels it has.
func (a *attend) spanBlocks() int { return a.span() / 8 }

// padded is n channels as matrix units see them.
func (a *attend) padded(n int) int { return (n + a.span() - 1) / a.span() * a.span() }

// tileRowBytes is the distance of rows of a tile in shared memory: an odd number of 16 bytes, so that eight rows lie in different banks.
func (a *attend) tileRowBytes() int {
	if !a.scaled() {
		return a.rowBytes()
	}
	return a.channelBytes(a.dimPad()) | 16
}

// keyRowBytes is tileRowBytes of keys as scores read them.
func (a *attend) keyRowBytes() int {
	if a.codedKeys() {
		return a.tileRowBytes()
	}
	return a.rowBytes()
}

// keySpan is how many channels of keys are read at once.
func (a *attend) keySpan() int {
	if a.codedKeys() {
		return a.span()
	}
	return 16
}

// keyOperand reads a span of 16 keys from channel c on as operand B: for each product of 16 channels, of the first eight positions, then of the others.
func (a *attend) keyOperand(keys ptx.Addr, c int) (products [][2][]ptx.Reg) {
	if !a.codedKeys() {
		k := a.e.Ldmatrix(a.format.pair, 4, false, keys.At(2*c))
		return [][2][]ptx.Reg{{k[:2], k[2:]}}
	}
	products = make([][2][]ptx.Reg, a.span()/16)
	for i, word := range a.e.Ldmatrix(ptx.B32, 2, false, keys.At(a.channelBytes(c))) {
		pairs := a.format.codes.expand(a, word, false)
		for n := range products {
			products[n][i] = pairs[2*n : 2*n+2]
		}
	}
	return products
}

// valueOperand reads a span of 16 values as operand B of its blocks of results. scales are those of the positions, where there are.
func (a *attend) valueOperand(values ptx.Addr, scales []ptx.Reg) [][]ptx.Reg {
	if !a.scaled() {
		v := a.e.Ldmatrix(a.format.pair, 4, true, values)
		return [][]ptx.Reg{v[:2], v[2:]}
	}
	blocks := make([][]ptx.Reg, a.spanBlocks())
	for i, word := range a.e.Ldmatrix(ptx.B32, 2, true, values) {
		for n, both := range a.format.codes.expand(a, word, true) {
			blocks[n] = append(blocks[n], a.e.Mul(both, scales[i]))
		}
	}
	return blocks
}

// queryOrder is where channels d and d+1, an even number, lie in a row of queries: as keyOperand has them.
func (a *attend) queryOrder(d ptx.Reg) ptx.Reg {
	if !a.codedKeys() {
		return d
	}
	pair := a.e.Shr(d, 1)
	if a.span() == 32 {
		// Pair 4t+j of 32 channels is the tth of eight: those of j = 0 come first, then those of 1, 2 and 3.
		return a.e.Add(a.e.And(d, -32), a.e.Add(a.e.Shl(a.e.And(pair, 3), 3), a.e.And(a.e.Shr(pair, 1), 6)))
	}
	// Pair 2j of 16 channels is the jth, pair 2j+1 is four further.
	within := a.e.Add(a.e.Shl(a.e.And(pair, 1), 3), a.e.And(pair, 6))
	return a.e.Add(a.e.And(d, -16), within)
}

// resultPair is where the nth of a lane's pairs of neighbouring channels lies. Of plain numbers it is block n of results. Of codes the pairs of a span lie
// apart in its blocks: see spanResults.
func (s *rowState) resultPair(out [][]ptx.Reg, n, row int) (low, high ptx.Reg) {
	if !s.scaled() {
		return out[n][2*row], out[n][2*row+1]
	}
	v := s.spanResults(out, n/s.spanBlocks(), row)
	at := 2 * (n % s.spanBlocks())
	return v[at], v[at+1]
}

// spanResults are a lane's channels of span q of codes, which are neighbours: first those of the one column of each block, then those of the other.
func (s *rowState) spanResults(out [][]ptx.Reg, q, row int) (v []ptx.Reg) {
	blocks := out[q*s.spanBlocks():][:s.spanBlocks()]
	for column := range 2 {
		for _, block := range blocks {
			v = append(v, block[2*row+column])
		}
	}
	return v
}

// resultColumn is the lane's first channel of pair 0 of a span, and resultStep how many further that of pair 1 is.
func (a *attend) resultColumn() ptx.Reg {
	if a.scaled() {
		return a.e.Shl(a.e.And(a.lane, 3), log2(a.span()/4))
	}
	return a.e.Shl(a.e.And(a.lane, 3), 1)
}

func (a *attend) resultStep() int {
	if a.scaled() {
		return 2
	}
	return 8
}
