package dump

import (
	"fmt"
	"slices"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// Step is a step that costs are predicted for: the last tokens of sequences of Context positions each, of which one is sampled.
type Step struct {
	Tokens    int64 `json:"tokens"` // of all sequences, which have equally many
	Context   int64 `json:"context"`
	Sequences int64 `json:"sequences,omitempty"` // 0: one
}

// sequences is how many there are.
func (s Step) sequences() int64 { return max(1, s.Sequences) }

// each is how many tokens a sequence has.
func (s Step) each() int64 { return s.Tokens / s.sequences() }

// Steps are a decoding step and the prompt before it.
var Steps = []Step{{Tokens: 1, Context: 512}, {Tokens: 512, Context: 512}}

// Cost is what a launch, or a whole step, moves and computes. The figures are floating point because products of a plan's sizes may
// pass 2^63.
type Cost struct {
	Bytes float64 `json:"bytes"` // weights, cache and activations, each read or written once
	Flops float64 `json:"flops"` // multiplications and additions of matrix products, those with the second digit of an input too
	// Seconds is the roofline: the longer of moving and computing, on cores with the target's nominal figures. Waiting at barriers and
	// what a cache would save are left out. It is 0 where the target has no figures.
	Seconds float64 `json:"seconds"`
}

func (c *Cost) add(d Cost) {
	c.Bytes, c.Flops, c.Seconds = c.Bytes+d.Bytes, c.Flops+d.Flops, c.Seconds+d.Seconds
}

// rate picks the figure of the target that products of a type run at.
type rate func(*engine.Nominal) float64

func rateF32(n *engine.Nominal) float64  { return n.F32 }
func rateBF16(n *engine.Nominal) float64 { return n.BF16 }
func rateInt8(n *engine.Nominal) float64 { return n.Int8 }

// rates says what products of plain numbers run at, and those of codes of a KV cache, which become f16 or words; those of quantized inputs run at rateInt8.
var rates = map[dtype.Type]rate{dtype.F32: rateF32, dtype.BF16: rateBF16, dtype.F16: rateBF16, dtype.F8E4M3: rateBF16, dtype.I8: rateBF16, dtype.I16: rateBF16, dtype.U4: rateBF16}

// kernelCost is how a kernel differs from one that reads and writes each operand once and multiplies no matrices.
type kernelCost struct {
	few         bool                                         // of its operands it touches a few bytes a row
	asResult    bool                                         // of its input it reads as many rows as its result has
	rowsOnly    bool                                         // of its matrix it reads one row for each row of the result
	expertsOnly bool                                         // of its stack it reads at most a matrix for each row of the result
	positions   func(p *predictor, l *engine.Launch) float64 // of the cache that it reads or writes
	flops       func(p *predictor, l *engine.Launch) (float64, rate)
}

var kernelCosts = map[string]kernelCost{
	"cpu.gather":            {rowsOnly: true},
	"cpu.gather_positions":  {rowsOnly: true},
	"cpu.gather_types":      {rowsOnly: true},
	"cpu.select_rows":       {asResult: true},
	"cpu.linear":            {flops: (*predictor).product},
	"cpu.linear_swiglu":     {flops: (*predictor).product},
	"cpu.rope_kv":           {positions: (*predictor).written},
	"cpu.kv_write":          {positions: (*predictor).written},
	"cpu.attention":         {positions: (*predictor).attended, flops: (*predictor).scores},
	"cpu.linear_heads":      {flops: (*predictor).headProducts},
	"cpu.latent_write":      {positions: (*predictor).written},
	"cpu.attention_latent":  {positions: (*predictor).attended, flops: (*predictor).latentScores},
	"cpu.state_conv":        {positions: (*predictor).moved},
	"cpu.state_scan":        {positions: (*predictor).moved},
	"cpu.moe_linear":        {flops: (*predictor).product, expertsOnly: true},
	"cpu.moe_linear_swiglu": {flops: (*predictor).product, expertsOnly: true},
	"cpu.soft":              {},
	"cpu.insert":            {},

	"cuda.gather":            {rowsOnly: true},
	"cuda.gather_positions":  {rowsOnly: true},
	"cuda.gather_types":      {rowsOnly: true},
	"cuda.select_rows":       {asResult: true},
	"cuda.soft":              {},
	"cuda.insert":            {},
	"cuda.linear":            {flops: (*predictor).product},
	"cuda.linear_swiglu":     {flops: (*predictor).product},
	"cuda.linear_act":        {flops: (*predictor).product},
	"cuda.linear_add":        {flops: (*predictor).product},
	"cuda.linear_rope_kv":    {flops: (*predictor).product, positions: (*predictor).written},
	"cuda.moe_linear":        {flops: (*predictor).product, expertsOnly: true},
	"cuda.moe_linear_swiglu": {flops: (*predictor).product, expertsOnly: true},
	"cuda.rope_kv":           {positions: (*predictor).written},
	"cuda.rope_kv_rows":      {positions: (*predictor).written},
	"cuda.kv_write":          {positions: (*predictor).written},
	"cuda.attention":         {positions: (*predictor).attended, flops: (*predictor).scores},
	"cuda.attention_ahead":   {positions: (*predictor).attended, flops: (*predictor).scores},
	"cuda.state_conv":        {positions: (*predictor).moved},
	"cuda.state_scan":        {positions: (*predictor).moved},
	"cuda.linear_heads":      {flops: (*predictor).headProducts},
	"cuda.latent_write":      {positions: (*predictor).written},
	"cuda.attention_latent":  {positions: (*predictor).attended, flops: (*predictor).latentScores},

	"cuda.attention_relative": {positions: (*predictor).attended, flops: (*predictor).scores},
	"cuda.attention_text":     {positions: (*predictor).attended, flops: (*predictor).scores},

	// Launches of sampling are counted as if the row wanted all of them.
	"cuda.sample_edit":   {few: true},
	"cuda.sample_finish": {few: true},
	"cuda.accept":        {few: true},
}

// Source is what a prediction wants to know beside the program.
type Source struct {
	Weight     func(name string) *engine.WeightEntry // nil where there is none
	MaxContext int64
}

// sourceOf asks a plan.
func sourceOf(p *engine.Plan) Source {
	return Source{MaxContext: int64(p.Info().MaxContext), Weight: func(name string) *engine.WeightEntry {
		w, _, err := p.Weight(name)
		if err != nil {
			return nil
		}
		return w
	}}
}

// predictor computes the costs of a program's launches for one step.
type predictor struct {
	source  Source
	program *engine.Program
	nominal *engine.Nominal // nil: no times
	cores   int             // threads, or multiprocessors of a GPU
	step    Step
	env     sym.Env
}

// newPredictor cuts the step to what the model takes.
func newPredictor(from Source, program *engine.Program, nominal *engine.Nominal, cores int, s Step) *predictor {
	s.Context = min(s.Context, from.MaxContext)
	s.Tokens = min(s.each(), s.Context) * s.sequences()
	return &predictor{from, program, nominal, cores, s, sym.Bind(s.Tokens, s.sequences(), s.sequences(), s.Context)}
}

// leftOut tells whether a launch has nothing to do in the step: its grid is without CTAs.
func (p *predictor) leftOut(l *engine.Launch) bool {
	c := l.CodeOf(p.env)
	return c != nil && slices.ContainsFunc(c.Grid[:], func(e engine.Extent) bool {
		n, err := e.Eval(p.env)
		return err == nil && n == 0
	})
}

// launch returns the cost of l. The program has been validated: operands are there and of the kinds that the kernel's row states.
func (p *predictor) launch(l *engine.Launch) (Cost, error) {
	var c Cost
	model := kernelCosts[l.Kernel]
	for i, o := range l.Operands {
		if engine.FindKernel(l.Kernel).Roles[i].Scratch {
			continue // little of it is used
		}
		n, err := p.operandBytes(l, o, &model)
		if err != nil {
			return c, fmt.Errorf("launch %q: operand %d: %w", l.Label, i, err)
		}
		c.Bytes += n
	}
	speed := rate(rateF32)
	if model.flops != nil {
		c.Flops, speed = model.flops(p, l)
	}
	if p.nominal != nil && speed != nil {
		cores := float64(p.cores)
		c.Seconds = max(c.Bytes/(p.nominal.ReadBytes*cores), c.Flops/(speed(p.nominal)*cores))
	}
	return c, nil
}

// moved is as many positions as what is read and written of the states of all sequences takes: the launch's rows of each.
func (p *predictor) moved(l *engine.Launch) float64 {
	cache := &p.program.Caches[engine.FindKernel(l.Kernel).Operand(l, "cache").Index]
	return 2 * pageSize * float64(p.step.sequences()) * float64(cache.StateRows(l)) / float64(cache.KVHeads)
}

func (p *predictor) operandBytes(l *engine.Launch, o engine.Operand, model *kernelCost) (float64, error) {
	switch o.Kind {
	case engine.OperandBuffer:
		if model.few {
			return 0, nil
		}
		if model.asResult {
			o = engine.FindKernel(l.Kernel).Operand(l, "y")
		}
		return p.bufferBytes(&p.program.Buffers[o.Index])
	case engine.OperandWeight:
		w := p.weight(o)
		if model.rowsOnly && w.N() > 0 {
			return float64(w.Bytes) / float64(w.N()) * float64(p.step.Tokens), nil
		}
		if model.expertsOnly {
			rows, err := p.results(l)
			return float64(w.Bytes) * min(1, float64(rows)/float64(w.Experts())), err
		}
		return float64(w.Bytes), nil
	case engine.OperandCache:
		if model.positions == nil {
			return 0, nil
		}
		n, err := p.program.LayerBytes(o.Index, pageSize)
		return float64(n) / pageSize * model.positions(p, l), err
	}
	return 0, nil // a step's arrays are a few bytes a token
}

func (p *predictor) bufferBytes(b *engine.Buffer) (float64, error) {
	rows, err := b.Rows.Eval(p.env)
	if err != nil {
		return 0, err
	}
	if b.Format == "" {
		return float64(rows) * float64(b.Cols) * float64(b.DType.Size()), nil
	}
	a, err := layout.NewActivation(b.Format, int(b.Cols), int(b.Group))
	if err != nil {
		return 0, err
	}
	return float64(rows) * float64(a.Bytes()), nil
}

// weight returns the entry of an operand, which validation has found.
func (p *predictor) weight(o engine.Operand) *engine.WeightEntry {
	if w := p.source.Weight(p.program.Weights[o.Index]); w != nil {
		return w
	}
	return &engine.WeightEntry{}
}

// product counts y[m, n] = x[m, k] * transpose(w), once for each digit of x. The rate is that of the input: codes of a weight that meets plain
// numbers are dequantized on their way.
func (p *predictor) product(l *engine.Launch) (float64, rate) {
	kernel := engine.FindKernel(l.Kernel)
	w, x := p.weight(kernel.Operand(l, "w")), &p.program.Buffers[kernel.Operand(l, "x").Index]
	rows, err := p.results(l)
	if err != nil {
		return 0, nil
	}
	speed, digits := rates[x.DType], 1
	if x.Format != "" {
		a, err := layout.NewActivation(x.Format, int(x.Cols), int(x.Group))
		if err != nil {
			return 0, nil
		}
		speed, digits = rateInt8, a.Digits
	}
	return 2 * float64(rows) * float64(w.N()) * float64(w.K()) * float64(digits), speed
}

// results is how many rows a product has: those of its input, or with experts of its result.
func (p *predictor) results(l *engine.Launch) (int64, error) {
	return productRows(p.program, l).Eval(p.env)
}

func productRows(program *engine.Program, l *engine.Launch) sym.Dim {
	kernel, role := engine.FindKernel(l.Kernel), "x"
	if kernel.Operand(l, "offsets").Kind != engine.OperandNone {
		role = "y"
	}
	return program.Buffers[kernel.Operand(l, role).Index].Rows
}

// written is how many positions a step adds to the cache.
func (p *predictor) written(*engine.Launch) float64 { return float64(p.step.Tokens) }

// attended is how many positions of the cache a step reads: all, or those that its tokens see.
func (p *predictor) attended(l *engine.Launch) float64 {
	n := p.step.Context
	n -= engine.ReachOf(l).First(n - p.step.each())
	return float64(n * p.step.sequences())
}

// pairs is how many positions all tokens see, together.
func (p *predictor) pairs(l *engine.Launch) float64 {
	reach, n := engine.ReachOf(l), p.step.each()
	pairs := int64(0)
	for position := p.step.Context - n; position < p.step.Context; position++ {
		pairs += reach.Seen(position, p.step.Context)
	}
	return float64(pairs * p.step.sequences())
}

// scores counts the two products of attention, queries with keys and weights with values, over what each token sees.
func (p *predictor) scores(l *engine.Launch) (float64, rate) {
	cache := engine.FindKernel(l.Kernel).Operand(l, "cache")
	const products = 2
	return 2 * products * p.pairs(l) * float64(l.Int("heads", 0)) * float64(l.Int("dim", 0)), rates[p.program.Caches[cache.Index].DType]
}

// headProducts counts the products of each head's columns with its matrix, once for each digit that the columns are rounded to.
func (p *predictor) headProducts(l *engine.Launch) (float64, rate) {
	kernel := engine.FindKernel(l.Kernel)
	w := p.weight(kernel.Operand(l, "w"))
	rows, err := p.results(l)
	a, unknown := layout.NewActivation(l.Text("input", ""), max(1, int(w.K())), layout.Align)
	if err != nil || unknown != nil {
		return 0, nil
	}
	speed := rate(rateInt8)
	switch {
	case a.Coded():
	case a.ElementBytes == 2:
		speed = rateBF16
	default:
		speed = rateF32
	}
	return 2 * float64(rows) * float64(w.Experts()) * float64(w.N()) * float64(w.K()) * float64(a.Digits), speed
}

// latentScores counts the two products of attention over rows of which the first channels are values.
func (p *predictor) latentScores(l *engine.Launch) (float64, rate) {
	c := p.program.Caches[engine.FindKernel(l.Kernel).Operand(l, "cache").Index]
	return 2 * p.pairs(l) * float64(l.Int("heads", 0)) * float64(c.Dim+c.Rank), rates[c.DType]
}

// resultsPerRow is how many rows a product has for each token, or sampled row: one for each of its experts.
func resultsPerRow(program *engine.Program, l *engine.Launch) int64 {
	rows := productRows(program, l)
	return max(1, slices.Max(rows.Coef[:]))
}
