package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// weightReader brings fragments of a weight to mma.sync: one file for each way to store them.
type weightReader interface {
	// operandB says how lanes read their tokens.
	operandB() operandB
	// prepare makes what all chunks need.
	prepare()
	// multiply adds the product of a chunk of a panel with b to acc, by block of tokens.
	multiply(at chunkSource, acc [][]ptx.Reg, b chunkB)
}

// reader is what readers have that need nothing more. The product is a field that is not embedded: each type of readers would have the methods of all
// instructions, hundreds that nobody calls, and most of the package's compile time would be theirs.
type reader struct{ product *product }

// prepare is that of readers that need nothing.
func (reader) prepare() {}

// operandB says how a lane reads the tokens of a chunk: 32 bytes of a token are a step of the matrix unit, in which the lane has two registers.
type operandB struct {
	register ptx.Type
	element  int // bytes of one k
	lane     int // bytes from the first register of a lane to that of the next, of the four that share a token
	second   int // bytes from the first register to the second
	sums     ptx.Type
}

// bf16Pairs is operand B of mma.m16n8k16: neighbouring k 2t and 2t+1, then 2t+8 and 2t+9, for lane 4g+t and token g.
var bf16Pairs = operandB{ptx.BF16x2, 2, 4, 16, ptx.F32}

// f16Pairs is the same of f16.
var f16Pairs = operandB{ptx.F16x2, 2, 4, 16, ptx.F32}

// steps is the number of matrix instructions along a chunk.
func (o operandB) steps() int { return chunk * o.element / 32 }

// chunkB is operand B of a chunk, by block of 8 tokens and by step.
type chunkB [][][]ptx.Reg

// load reads the lane's part of a chunk of one token.
func (p *product) load(o operandB, x ptx.Reg) [][]ptx.Reg {
	var steps [][]ptx.Reg
	for s := range o.steps() {
		if o.second == 4 {
			steps = append(steps, as(o.register, p.LdV(ptx.B32, 2, x.At(32*s))))
			continue
		}
		steps = append(steps, []ptx.Reg{p.Ld(o.register, x.At(32*s)), p.Ld(o.register, x.At(32*s+o.second))})
	}
	return steps
}

// weightReaders is indexed by what is stored of a weight, or by the format of inputs that are codes.
var weightReaders = map[string]func(p *product) weightReader{
	"bf16":  func(p *product) weightReader { return halfReader{reader{p}, ptx.MmaBF16, bf16Pairs} },
	"f16":   func(p *product) weightReader { return halfReader{reader{p}, ptx.MmaF16, f16Pairs} },
	"u8":    func(p *product) weightReader { return u8Reader{reader{p}} },
	"e4m3":  newFloat8Reader,
	"u4":    func(p *product) weightReader { return &u4Reader{product: p} },
	"e4m3t": func(p *product) weightReader { return e4m3Reader{reader{p}} },
	"e4m3g": func(p *product) weightReader { return e4m3Blocks{reader{p}} },
	"s8t":   func(p *product) weightReader { return s8Reader{reader{p}} },
}

// reads is the name of the readers for the product's weight and inputs.
func (p *product) reads() string {
	if p.coded() {
		return p.buffer("x").Format
	}
	return p.w.Element
}

// coded tells whether the inputs are codes.
func (p *product) coded() bool { return p.buffer("x").Format != "" }

// codes describes inputs that are codes.
func (p *product) codes() layout.Activation {
	x := p.buffer("x")
	a, err := layout.NewActivation(x.Format, p.w.K, int(x.Group))
	if err != nil {
		panic("cuda: " + err.Error()) // emit asked for the same
	}
	return a
}

const fragmentBytes = 512 // of a panel: 16 for each lane

// zeroSums are the sums of blocks of tokens, to be added to.
func (p *product) zeroSums(t ptx.Type, blocks int) [][]ptx.Reg {
	sums := make([][]ptx.Reg, blocks)
	for j := range sums {
		sums[j] = p.Zeros(t, 4)
	}
	return sums
}

// mma adds one step of 16 k to the accumulators of every block of tokens.
func (p *product) mma(acc [][]ptx.Reg, a []ptx.Reg, b chunkB, step int) {
	for j := range acc {
		p.Mma(ptx.MmaBF16, acc[j], a, b[j][step])
	}
}

// halfReader reads numbers of 16 bits.
type halfReader struct {
	reader
	mma ptx.MMA
	b   operandB
}

func (r halfReader) operandB() operandB { return r.b }

func (r halfReader) multiply(at chunkSource, acc [][]ptx.Reg, b chunkB) {
	for step, words := range at.fragments() {
		for j := range acc {
			r.product.Mma(r.mma, acc[j], as(r.b.register, words), b[j][step])
		}
	}
}

// as sees registers as another type of their size.
func as(t ptx.Type, regs []ptx.Reg) []ptx.Reg {
	out := make([]ptx.Reg, len(regs))
	for i, r := range regs {
		out[i] = r.As(t)
	}
	return out
}

// u8Reader reads codes of 8 bits with one scale for an output. A code becomes a number of 24 bits by putting it below the exponent of
// 2^23, then a bf16, which holds -127 to 127 exactly.
type u8Reader struct{ reader }

func (r u8Reader) operandB() operandB { return bf16Pairs }

func (r u8Reader) multiply(at chunkSource, acc [][]ptx.Reg, b chunkB) {
	for f, words := range at.fragments() {
		for half := range 2 {
			var a []ptx.Reg
			for _, word := range words[2*half : 2*half+2] {
				a = append(a, r.pair(word, 0), r.pair(word, 2))
			}
			r.product.mma(acc, a, b, 2*f+half)
		}
	}
}

// pair gives bytes i and i+1 of a word as bf16.
func (r u8Reader) pair(word ptx.Reg, i int) ptx.Reg {
	const exponent, offset = 0x4b000000, 1<<23 + 128
	number := func(i int) ptx.Reg {
		return r.product.Sub(r.product.Permute(word, exponent, 0x7540+i).As(ptx.F32), float64(offset))
	}
	return r.product.Cvt2(ptx.BF16x2, number(i), number(i+1))
}

// factor gives what the sum of an output and a token is multiplied with at the end: the scale of the output, and of a token that has one for all of K,
// which tokenScale loads by the token's number. nil: sums have been scaled group by group, or nothing has scales.
func (p *product) factor(output ptx.Reg, tokenScale func(n int) ptx.Reg) func(n int) ptx.Reg {
	if p.w.ScaleBytes == 0 || p.w.Group > 0 {
		return nil
	}
	scale := p.outputScale(output)
	if !p.coded() {
		return func(int) ptx.Reg { return scale }
	}
	return func(n int) ptx.Reg { return p.Mul(scale, tokenScale(n)) }
}

// outputScale loads the scale of an output.
func (p *product) outputScale(output ptx.Reg) ptx.Reg {
	number := p.Min(p.Shr(output, 4), p.w.Panels()-1)
	base := p.Index(p.pointers["w"], number, p.w.PanelBytes())
	return p.Ld(ptx.F32, p.Index(base, p.And(output, layout.FragmentRows-1), 4).At(p.w.ScaleOffset(0)), ptx.ReadOnly)
}

// u4Reader reads codes of 4 bits. Two of them become bf16 by one logical operation, which puts them below the exponent of 128; the
// zero point is subtracted exactly. The products of a group are added up apart, and their sum is scaled in f32.
type u4Reader struct {
	product    *product
	one, minus ptx.Reg // of bf16x2: 1, and -(128 + the zero point) where all have the same
	row        ptx.Reg // of the lane: its first row of a panel
}

func (r *u4Reader) operandB() operandB { return bf16Pairs }

func (r *u4Reader) prepare() {
	r.one, r.minus, r.row = r.product.Const(ptx.BF16x2, 1.0), r.product.Const(ptx.BF16x2, -136.0), r.product.Shr(r.product.Lane(), 2)
}

func (r *u4Reader) multiply(at chunkSource, acc [][]ptx.Reg, b chunkB) {
	words := at.fragments()[0]
	steps := min(chunkSteps, r.product.w.Group/16)
	for from := 0; from < chunkSteps; from += steps {
		scales, minus := r.scales(at, from)
		part := r.product.zeroSums(ptx.F32, len(acc))
		for s := from; s < from+steps; s++ {
			r.product.mma(part, r.numbers(words[s], minus), b, s)
		}
		for j := range acc {
			for n := range acc[j] {
				r.product.Into(acc[j][n]).Fma(part[j][n], scales[n/2], acc[j][n])
			}
		}
	}
}

// numbers gives the eight codes of a word as the four registers of operand A. Registers 0 and 2 are of the lane's first row, 1 and 3
// of its second.
func (r *u4Reader) numbers(word ptx.Reg, minus [2]ptx.Reg) []ptx.Reg {
	var a []ptx.Reg
	for i := range 4 {
		codes := word
		if i > 0 {
			codes = r.product.Shr(word, 4*i)
		}
		biased := r.product.Lop3(codes, 0x000f000f, 0x43004300, func(x, y, z uint8) uint8 { return x&y | z })
		a = append(a, r.product.Fma(biased.As(ptx.BF16x2), r.one, minus[i%2]))
	}
	return a
}

// scales loads the scales of the group that a step of a chunk lies in for the lane's rows row and row+8, and what to add to its codes.
func (r *u4Reader) scales(at chunkSource, step int) (scales, minus [2]ptx.Reg) {
	minus = [2]ptx.Reg{r.minus, r.minus}
	place := at.scale(step, r.row, 2)
	for i := range scales {
		scales[i] = r.product.Cvt(ptx.F32, r.product.Ld(ptx.F16, place.At(16*i)))
		if r.product.w.Zeros {
			zero := r.product.Ld(ptx.U8, at.zero(step, r.row).At(8*i)).As(ptx.B32)
			both := r.product.Or(r.product.Or(zero, r.product.Shl(zero, 16)), 0x43004300)
			minus[i] = r.product.Neg(both.As(ptx.BF16x2))
		}
	}
	return scales, minus
}

func log2(n int) int {
	bits := 0
	for n > 1 {
		n, bits = n/2, bits+1
	}
	return bits
}
