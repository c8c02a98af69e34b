package cuda

import (
	"math"

	"llmc/codegen/ptx"
)

// frequencies are those by which the channels of a token's sequence turn. Positions times them are angles.
type frequencies struct {
	e     *entry
	table ptx.Reg // row of inv_freq
	grown ptx.Reg // mode dynamic: pair i turns slower by 2^(i*grown), which is not positive
}

// turnsOnRead tells whether keys are stored as they are, since the frequencies depend on the length of the sequence.
func (e *entry) turnsOnRead() bool { return e.launch.Text("mode", "static") != "static" }

// ropeModes completes the frequencies of a token by the length that it stands for.
var ropeModes = map[string]func(f *frequencies, length ptx.Reg){
	"longrope": (*frequencies).choose,
	"dynamic":  (*frequencies).grow,
}

func newFrequencies(e *entry, token ptx.Reg) frequencies {
	f := frequencies{e: e, table: e.pointers["inv_freq"]}
	if complete := ropeModes[e.launch.Text("mode", "static")]; complete != nil {
		complete(&f, e.Ld(ptx.S32, e.Index(e.pointers["ropelen"], token, 4)))
	}
	return f
}

// choose takes the second row of the table for long sequences.
func (f *frequencies) choose(length ptx.Reg) {
	long := f.e.Gt(length, int(f.e.launch.Int("original_max", 0)))
	half := int(f.e.launch.Int("rotary_dim", 0)) / 2
	f.table = f.e.Index(f.table, f.e.Select(long, f.e.Const(ptx.U32, half), 0), 4)
}

// grow is "NTK-aware" scaling: base' = base * s^(d/(d-2)), where s = ntk_factor*length/max_positions - (ntk_factor-1) and d channels turn.
// The frequency of pair i, which is base^(-2i/d), is then the table's times s^(-2i/(d-2)). s is near 1, so that its logarithm is small and
// the approximations of logarithm and power are off by a few places of the last bit.
func (f *frequencies) grow(length ptx.Reg) {
	most, rotary := f.e.launch.Int("max_positions", 1), f.e.launch.Int("rotary_dim", 4)
	beyond := f.e.Cvt(ptx.F32, f.e.Sub(length, int(most)))
	s := f.e.Fma(beyond, f.e.launch.Float("ntk_factor", 1)/float64(most), 1.0)
	f.grown = f.e.Select(f.e.Gt(length, int(most)), f.e.Mul(f.e.Lg2(s), -2/float64(rotary-2)), 0.0)
}

// scale makes the table's frequency of pair i the token's.
func (f *frequencies) scale(frequency, i ptx.Reg) {
	if f.grown != (ptx.Reg{}) {
		f.e.Into(frequency).Mul(frequency, f.e.Ex2(f.e.Mul(f.grown, f.e.Cvt(ptx.F32, i))))
	}
}

// turnPair rotates two channels by position * frequency, a product of f32 numbers as models are trained with.
func (e *entry) turnPair(a, b, position, frequency ptx.Reg) {
	cos, sin := e.turns(position, frequency)
	first := e.Fma(a, cos, e.Neg(e.Mul(b, sin)))
	e.Into(b).Fma(a, sin, e.Mul(b, cos))
	e.Set(a, first)
}

// turns is the cosine and sine of position * frequency, times the factor of the embedding.
func (e *entry) turns(position, frequency ptx.Reg) (cos, sin ptx.Reg) {
	angle := e.reduce(e.Mul(position, frequency))
	cos, sin = e.Cos(angle), e.Sin(angle)
	if factor := e.launch.Float("factor", 1); factor != 1 {
		cos, sin = e.Mul(cos, factor), e.Mul(sin, factor)
	}
	return cos, sin
}

// reduce brings an angle to -pi..pi, where the approximations of sine and cosine are good to 2^-20. It is the scheme of Cody and
// Waite with 2*pi in three parts. The first step is exact, since all numbers in it are multiples of the last place of a number below 8.
func (e *entry) reduce(angle ptx.Reg) ptx.Reg {
	turns := e.Round(ptx.Nearest, e.Mul(angle, 1/(2*math.Pi)))
	for rest, i := 2*math.Pi, 0; i < 3; i++ {
		part := float64(float32(rest))
		angle = e.Fma(turns, -part, angle)
		rest -= part
	}
	return angle
}
