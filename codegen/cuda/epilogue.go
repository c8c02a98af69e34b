package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// resultPlace is where the sums of a thread belong: outputs row and row+8 of one panel, for tokens counted from token on.
type resultPlace struct {
	row, token ptx.Reg
	lanes      []int // the lanes that have the panel's other rows for the same tokens differ in these bits
}

// tokenResult is what a thread has for token number n from its first one on: the values of outputs row and row+8.
type tokenResult struct {
	n int
	v [2]ptx.Reg
}

// finishers are what becomes of the sums of a product, by kernel. Threads have tokens and outputs that do not exist, whose values are undefined;
// all threads of a warp come along.
var finishers = map[string]func(p *product, at resultPlace, results []tokenResult){
	"cuda.linear":         (*product).storeBoth,
	"cuda.linear_act":     (*product).storeActivated,
	"cuda.linear_swiglu":  (*product).storeGated,
	"cuda.linear_add":     (*product).storeSum,
	"cuda.linear_rope_kv": (*product).storeTurned,
	"cuda.linear_heads":   (*product).storeHead,

	"cuda.moe_linear":        (*product).storeBoth,
	"cuda.moe_linear_swiglu": (*product).storeGated,
}

// finisherRoles are the operands that finishers alone read or write.
var finisherRoles = []string{"bias", "residual", "norm", "turns", "slots", "cache", "y", "sum", "scaled", "squared"}

// reload brings the pointers of finishers back: the main loop needs the registers.
func (p *product) reload() {
	for _, role := range finisherRoles {
		if p.has(role) {
			p.pointers[role] = p.Reload(role)
		}
	}
}

// exists tells whether there is token n of a place.
func (p *product) exists(at resultPlace, n int) ptx.Reg {
	return p.Lt(p.Add(at.token, n), p.end())
}

// realOutput is an output, or the last one where it is behind that.
func (p *product) realOutput(output ptx.Reg) ptx.Reg { return p.Min(output, p.w.N-1) }

// normedAndBiased divides a sum by the norm of its token, of which the CTA has so many before it, and adds the bias.
func (p *product) normedAndBiased(sum, output, factors, token ptx.Reg) ptx.Reg {
	if p.has("squares") {
		sum = p.Mul(sum, p.Ld(ptx.F32, p.Index(factors, token, 4)))
	}
	if p.has("bias") {
		sum = p.Add(sum, p.Ld(ptx.F32, p.Index(p.pointers["bias"], output, 4)))
	}
	return sum
}

// columnFactors are where the scales of a CTA's tokens lie in shared memory, f32, and the factors of their norms; no registers where there are none.
type columnFactors struct{ scales, norms ptx.Reg }

// finishColumns gives the sums of a panel to the finisher: sum 4j+i of a lane is row g + 8*(i/2) and column 8j + 2t + i%2. column is the lane's first one.
func (p *product) finishColumns(at resultPlace, sums []ptx.Reg, column ptx.Reg, f columnFactors) {
	var results []tokenResult
	for i := range sums {
		if i%4 < 2 {
			results = append(results, tokenResult{columnOf(i), [2]ptx.Reg{sums[i], sums[i+2]}})
		}
	}
	for _, of := range []*ptx.Reg{&f.scales, &f.norms} {
		if *of != (ptx.Reg{}) {
			*of = p.Index(*of, column, 4)
		}
	}
	if p.adapted {
		p.completeAdapted(at, results, f)
	} else {
		for h := range 2 {
			p.complete(results, h, p.realOutput(p.Add(at.row, 8*h)), f)
		}
	}
	p.finish(at, results)
}

// columnOf is the column of sum i, counted from that of the lane's first one.
func columnOf(i int) int { return i/4*8 + i%2 }

// complete makes of the sums of one output of a lane what they stand for, with the factors from the lane's first column on.
func (p *product) complete(results []tokenResult, h int, output ptx.Reg, f columnFactors) {
	scale, end := p.scaler(output, f), p.ender(output, f)
	for _, r := range results {
		scale(r.v[h], r.n)
		end(r.v[h], r.n)
	}
}

// scaler is for sums of an output: those of codes are scaled.
func (p *product) scaler(output ptx.Reg, f columnFactors) func(v ptx.Reg, n int) {
	factor := p.factor(output, func(n int) ptx.Reg { return p.Ld(ptx.F32, f.scales.At(4*n)) })
	return func(v ptx.Reg, n int) {
		if factor != nil {
			p.Into(v).Mul(v, factor(n))
		}
	}
}

// ender is for scaled sums of an output: they are divided by the norm of their token, and the bias is added.
func (p *product) ender(output ptx.Reg, f columnFactors) func(v ptx.Reg, n int) {
	var bias ptx.Reg
	if p.has("bias") {
		bias = p.Ld(ptx.F32, p.Index(p.pointers["bias"], output, 4))
	}
	return func(v ptx.Reg, n int) {
		if p.has("squares") {
			p.Into(v).Mul(v, p.Ld(ptx.F32, f.norms.At(4*n)))
		}
		if p.has("bias") {
			p.Into(v).Add(v, bias)
		}
	}
}

// squareLanes is how many lanes add up the squares of a token.
const squareLanes = 16

// normFactors is where storeNormFactors puts those of the CTA's tokens; no register where the input has no norm to finish.
func (p *product) normFactors() ptx.Reg {
	if !p.has("squares") {
		return ptx.Reg{}
	}
	p.Section("norms")
	factors := p.Addr(p.Static("factors", 4*tokenTile, 16))
	p.storeNormFactors(factors, p.TidX(), p.threads, p.CtaY(), tokenTile)
	return factors
}

// storeNormFactors puts what the rows of x are to be multiplied with to be normalised into shared memory, for tokens of a tile: 1 / sqrt(mean of
// squares + eps). Of so many threads 16 have a token: they add up what linear_add wrote for it in the order of the columns, each its own, then in a
// butterfly. Threads that wait for a barrier before they read them see them.
func (p *product) storeNormFactors(factors, thread ptx.Reg, threads int, tile ptx.Reg, tokens int) {
	lane := p.And(thread, squareLanes-1)
	for first := 0; first < tokens; first += threads / squareLanes {
		token := p.Add(p.Shr(thread, log2(squareLanes)), first)
		row := p.row("squares", p.Min(p.Mad(tile, tokens, token), p.Sub(p.rows("x"), 1)))
		total := p.sumOfSquares(row, lane)
		factor := p.Div(1.0, p.Sqrt(p.Add(p.Div(total, float64(p.w.K)), p.launch.Float("eps", 0))))
		p.When(p.CmpAnd(ptx.LT, token, tokens, p.Eq(lane, 0))).St(p.Index(factors, token, 4), factor)
	}
}

// sumOfSquares adds up a row of squares with the lanes that have the token.
func (p *product) sumOfSquares(row, lane ptx.Reg) ptx.Reg {
	squares := rowPart{row: row, columns: p.cols("squares")}
	sums := p.Zeros(ptx.F32, squares.width())
	p.eachColumn(ptx.F32, squares, lane, squareLanes, func(i int, v ptx.Reg) { sums[i] = p.Add(sums[i], v) })
	for len(sums) > 1 {
		half := len(sums) / 2
		for i := range half {
			sums[i] = p.Add(sums[i], sums[i+half])
		}
		sums = sums[:half]
	}
	for bit := squareLanes / 2; bit > 0; bit /= 2 {
		sums[0] = p.Add(sums[0], p.ShflXor(sums[0], bit))
	}
	return sums[0]
}

// storeResult writes one number of an activation through a view of the builder, which may have a guard.
func (p *product) storeResult(b *ptx.Builder, role string, at ptx.Address, v ptx.Reg) {
	switch p.buffer(role).DType {
	case dtype.BF16:
		v = p.Cvt(ptx.BF16, v)
	case dtype.F16:
		v = p.Cvt(ptx.F16, v)
	}
	b.St(at, v)
}

// bothPlaces is where an activation has the outputs of a place for its first token, and whether there are such columns.
func (p *product) bothPlaces(role string, at resultPlace) (base ptx.Reg, inside [2]ptx.Reg) {
	base = p.Index(p.row(role, at.token), at.row, p.buffer(role).DType.Size())
	return base, [2]ptx.Reg{p.Lt(at.row, p.cols(role)), p.Lt(p.Add(at.row, 8), p.cols(role))}
}

// storeBoth writes y.
func (p *product) storeBoth(at resultPlace, results []tokenResult) {
	p.storeEach(at, results, func(v ptx.Reg) ptx.Reg { return v })
}

// storeActivated writes the activation of every output.
func (p *product) storeActivated(at resultPlace, results []tokenResult) {
	p.storeEach(at, results, p.activate)
}

// storeEach writes what f makes of every output to y.
func (p *product) storeEach(at resultPlace, results []tokenResult, f func(v ptx.Reg) ptx.Reg) {
	base, inside := p.bothPlaces("y", at)
	stride, size := int(p.buffer("y").Stride), p.buffer("y").DType.Size()
	most := p.bothMaxima("y", at)
	for _, r := range results {
		exists := p.exists(at, r.n)
		for h, v := range r.v {
			wanted := p.And(exists, inside[h])
			v = f(v)
			p.storeResult(p.When(wanted), "y", base.At(r.n*stride+8*size*h), v)
			most[h].store(v, wanted, r.n*stride)
		}
	}
}

// storeGated writes what a gate lets through: outputs row and row+8 are those of one feature.
func (p *product) storeGated(at resultPlace, results []tokenResult) {
	stride, size := int(p.buffer("y").Stride), p.buffer("y").DType.Size()
	column := p.Add(p.Shl(p.Shr(at.row, log2(layout.FragmentRows)), 3), p.And(at.row, 7))
	base := p.Index(p.row("y", at.token), column, size)
	inside := p.Lt(column, p.cols("y"))
	maxima := p.maxima("y", at, column)
	for _, r := range results {
		wanted := p.And(p.exists(at, r.n), inside)
		v := p.gate(r.v[0], r.v[1])
		p.storeResult(p.When(wanted), "y", base.At(r.n*stride), v)
		maxima.store(v, wanted, r.n*stride)
	}
}

// maxima are where a thread's rows have the largest magnitude of the eight columns that it shares with seven lanes; all nil where rows have none.
type maxima struct {
	product     *product
	base, first ptx.Reg // of the first token; the thread is the first of the eight
	lanes       []int
}

// maxima finds the largest magnitudes for a thread's column.
func (p *product) maxima(role string, at resultPlace, column ptx.Reg) maxima {
	if !p.hasMaxima(role) {
		return maxima{}
	}
	part := p.Shr(column, log2(layout.MaximaColumns))
	base := p.Index(p.row(role, at.token), part, 4)
	return maxima{p, p.Add(base, p.maximaOffset(role)), p.Eq(p.And(column, layout.MaximaColumns-1), 0), at.lanes}
}

// bothMaxima finds them for the two columns of a place.
func (p *product) bothMaxima(role string, at resultPlace) (both [2]maxima) {
	if !p.hasMaxima(role) {
		return both
	}
	return [2]maxima{p.maxima(role, at, at.row), p.maxima(role, at, p.Add(at.row, 8))}
}

// store writes the largest of the eight lanes' magnitudes.
func (m maxima) store(v, wanted ptx.Reg, offset int) {
	if m.product == nil {
		return
	}
	most := m.product.magnitude(v)
	for _, lane := range m.lanes {
		most = m.product.Max(most, m.product.ShflXor(most, lane))
	}
	m.product.When(m.product.And(wanted, m.first)).St(m.base.At(offset), most)
}

// storeSum adds the residual, writes the sum, the sum times the weights of the norm that follows, and the panel's sum of squares: first of a lane's two
// rows, then of the eight lanes in a butterfly.
func (p *product) storeSum(at resultPlace, results []tokenResult) {
	sum, inside := p.bothPlaces("sum", at)
	residual, _ := p.bothPlaces("residual", at)
	scaled, _ := p.bothPlaces("scaled", at)
	squared := p.Index(p.row("squared", at.token), p.Shr(at.row, log2(layout.FragmentRows)), 4)
	first := p.CmpAnd(ptx.EQ, p.And(at.row, 7), 0, inside[0])
	var norm [2]ptx.Reg
	for h := range norm {
		norm[h] = p.Ld(ptx.F32, p.Index(p.pointers["norm"], p.realOutput(p.Add(at.row, 8*h)), 4))
	}
	stride := func(role string, n int) int { return n * int(p.buffer(role).Stride) }
	size := p.buffer("scaled").DType.Size()
	most := p.bothMaxima("scaled", at)
	for _, r := range results {
		exists := p.exists(at, r.n)
		square := p.Const(ptx.F32, 0)
		for h, v := range r.v {
			there := p.And(exists, inside[h])
			wanted := p.When(there)
			before := p.Const(ptx.F32, 0)
			wanted.Into(before).Ld(ptx.F32, residual.At(stride("residual", r.n)+4*8*h))
			v = p.Add(before, v)
			wanted.St(sum.At(stride("sum", r.n)+4*8*h), v)
			times := p.Mul(v, norm[h])
			p.storeResult(wanted, "scaled", scaled.At(stride("scaled", r.n)+size*8*h), times)
			most[h].store(times, there, stride("scaled", r.n))
			wanted.Into(square).Fma(v, v, square)
		}
		for _, lane := range at.lanes {
			square = p.Add(square, p.ShflXor(square, lane))
		}
		p.When(p.And(exists, first)).St(squared.At(stride("squared", r.n)), square)
	}
}
