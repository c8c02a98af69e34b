package ir

import (
	"fmt"

	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// Builder makes a module op by op. The first mistake (a shape that does not fit, an unknown weight axis) is kept and
// reported by Module; until then every call returns some value, so that a model reads as a sequence of equations.
//
//	b := ir.NewBuilder("llama")
//	kv := b.PagedCache("kv", layers, kvHeads, dim, dtype.BF16)
//	s := b.Step(kv)
//	x := b.Gather(b.Weight("model.embed_tokens.weight", dtype.BF16, vocab, hidden), s.IDs)
//	n := b.RMSNorm(x, b.Weight("model.norm.weight", dtype.BF16, hidden), 1e-5)
//	b.Return(b.Linear(b.SelectRows(n, s.Rows), head, nil), s.Token)
//	m, err := b.Module()
type Builder struct {
	m       *Module
	f       *Func
	weights map[string]*Value
	err     error
}

// NewBuilder starts a module.
func NewBuilder(name string) *Builder {
	return &Builder{m: &Module{Name: name}, weights: map[string]*Value{}}
}

// Module returns the finished module, verified, or the first mistake.
func (b *Builder) Module() (*Module, error) {
	if b.err != nil {
		return nil, b.err
	}
	for _, f := range b.m.Funcs {
		f.Number()
	}
	if err := Verify(b.m); err != nil {
		return nil, err
	}
	return b.m, nil
}

// Fail records a mistake unless there already is one.
func (b *Builder) Fail(err error) {
	if b.err == nil && err != nil {
		b.err = err
	}
}

// Err returns the first mistake so far.
func (b *Builder) Err() error { return b.err }

// Weight declares the weight that is the checkpoint's tensor of that name. Asking again gives the same value (tied weights).
func (b *Builder) Weight(name string, dt dtype.Type, dims ...int) *Value {
	return b.Declare(Weight{Value: Value{Name: name, Type: Type{DType: dt, Dims: constDims(dims)}}})
}

// Column declares a matrix [outputs, inputs] that tensor parallelism splits by outputs (or the bias of one).
func (b *Builder) Column(name string, dt dtype.Type, dims ...int) *Value {
	return b.Declare(Weight{Value: Value{Name: name, Type: Type{DType: dt, Dims: constDims(dims)}}, Axis: "col"})
}

// Row declares a matrix [outputs, inputs] that tensor parallelism splits by inputs.
func (b *Builder) Row(name string, dt dtype.Type, dims ...int) *Value {
	return b.Declare(Weight{Value: Value{Name: name, Type: Type{DType: dt, Dims: constDims(dims)}}, Axis: "row"})
}

// Constant declares a weight whose values are known now.
func (b *Builder) Constant(name string, values []float32, dims ...int) *Value {
	return b.Declare(Weight{Value: Value{Name: name, Type: Type{DType: dtype.F32, Dims: constDims(dims)}}, Recipe: Constant(values)})
}

func constDims(dims []int) []sym.Dim {
	var out []sym.Dim
	for _, d := range dims {
		out = append(out, sym.Const(int64(d)))
	}
	return out
}

// Declare adds the weight w, or returns the one that already has its name, type, axis and recipe. A nil recipe is the whole tensor of the same name.
func (b *Builder) Declare(w Weight) *Value {
	weight := &w
	weight.Value.Weight = weight
	if w.Recipe == nil {
		weight.Recipe = weight.ownTensor(0)
	}
	if old := b.weights[w.Name]; old != nil {
		if was := old.Weight; !was.Type.Equal(w.Type) || was.Axis != w.Axis || was.Stored != w.Stored || !was.Recipe.Equal(weight.Recipe) {
			b.Fail(fmt.Errorf("weight %%%s is declared as %v and as %v, or from other tensors", w.Name, was.Type, w.Type))
		}
		return old
	}
	b.Fail(weight.check(0))
	b.weights[w.Name] = &weight.Value
	b.m.Weights = append(b.m.Weights, weight)
	return &weight.Value
}

// PagedCache declares a paged cache of keys and values.
func (b *Builder) PagedCache(name string, layers, kvHeads, dim int, dt dtype.Type) *Cache {
	c := &Cache{Name: name, Kind: Paged, Layers: int64(layers), KVHeads: int64(kvHeads), Dim: int64(dim), DType: dt}
	b.Fail(c.check())
	b.m.Caches = append(b.m.Caches, c)
	return c
}

// LatentCache declares a cache of rows of rank channels that the values of all heads are made of, and of rope channels that turn with the position.
func (b *Builder) LatentCache(name string, layers, rank, rope int, dt dtype.Type) *Cache {
	c := &Cache{Name: name, Kind: Latent, Layers: int64(layers), KVHeads: 1, Dim: int64(rank + rope), Rank: int64(rank), DType: dt}
	b.Fail(c.check())
	b.m.Caches = append(b.m.Caches, c)
	return c
}

// CrossCache declares a cache of what a function of whole sequences keeps of each for the steps that follow.
func (b *Builder) CrossCache(name string, layers, kvHeads, dim int, dt dtype.Type) *Cache {
	c := b.PagedCache(name, layers, kvHeads, dim, dt)
	c.Kind = Cross
	return c
}

// Func starts a function; ops are added to it until the next Func.
func (b *Builder) Func(name string) {
	b.f = &Func{Name: name}
	b.m.Funcs = append(b.m.Funcs, b.f)
}

// Param adds a parameter.
func (b *Builder) Param(name string, t Type) *Value {
	v := &Value{Name: name, Type: t}
	b.f.Params = append(b.f.Params, v)
	return v
}

// Step holds the parameters of the function "step", or of one of whole sequences.
type Step struct {
	IDs, Positions, RopeLen, Rows *Value
	Types, SeqStart               *Value // of functions of whole sequences, which have no Rows
	Token                         *Value // of the first cache
	Tokens                        []*Value
}

// Step starts the function "step" with its parameters and a token for each cache.
func (b *Builder) Step(caches ...*Cache) Step {
	b.Func("step")
	tokens := sym.Of(sym.T)
	s := Step{
		IDs:       b.Param("ids", I32(tokens)),
		Positions: b.Param("positions", I32(tokens)),
		RopeLen:   b.Param("ropelen", I32(tokens)),
		Rows:      b.Param("rows", I32(sym.Of(sym.R))),
	}
	b.tokens(&s, caches)
	return s
}

// Sequences starts a function called name that takes all tokens of its sequences at once, with a token for each cache.
func (b *Builder) Sequences(name string, caches ...*Cache) Step {
	b.Func(name)
	tokens := sym.Of(sym.T)
	s := Step{
		IDs:       b.Param("ids", I32(tokens)),
		Types:     b.Param("types", I32(tokens)),
		Positions: b.Param("positions", I32(tokens)),
		RopeLen:   b.Param("ropelen", I32(tokens)),
		SeqStart:  b.Param("seq_start", I32(sym.Of(sym.B).Add(sym.Const(1)))),
	}
	b.tokens(&s, caches)
	return s
}

// tokens adds a parameter for each cache.
func (b *Builder) tokens(s *Step, caches []*Cache) {
	for _, c := range caches {
		s.Tokens = append(s.Tokens, b.Param(c.Name+"0", Token(c.Name)))
	}
	if len(s.Tokens) > 0 {
		s.Token = s.Tokens[0]
	}
}

// Op adds an op of any kind and returns its results. Attributes hold int64, float64 or string.
func (b *Builder) Op(kind string, args []*Value, attrs ...Attr) []*Value {
	if b.err == nil {
		op, err := b.m.NewOp(kind, args, attrs...)
		if err == nil {
			b.f.Ops = append(b.f.Ops, op)
			return op.Results
		}
		b.Fail(fmt.Errorf("function @%s, op %d: %w", b.f.Name, len(b.f.Ops), err))
	}
	// What follows a mistake is not part of the result, it only has to be there.
	return []*Value{{}, {}, {}}
}

// Return ends the function.
func (b *Builder) Return(values ...*Value) { b.f.Results = values }
