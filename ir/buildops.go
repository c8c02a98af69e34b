package ir

import (
	"llmc/internal/relative"
	"llmc/internal/sym"
)

func (b *Builder) op1(kind string, args []*Value, attrs ...Attr) *Value {
	return b.Op(kind, args, attrs...)[0]
}

// Gather looks rows of table up.
func (b *Builder) Gather(table, ids *Value) *Value {
	return b.op1("gather", []*Value{table, ids})
}

// GatherPositions looks up what a table has for each position.
func (b *Builder) GatherPositions(table, positions *Value) *Value {
	return b.op1("gather_positions", []*Value{table, positions})
}

// GatherTypes looks up what a table has for the type of each token.
func (b *Builder) GatherTypes(table, types *Value) *Value {
	return b.op1("gather_types", []*Value{table, types})
}

// Pool makes one row of those of each sequence; mode is "mean", "first" or "last".
func (b *Builder) Pool(x, seqStart *Value, mode string) *Value {
	return b.op1("pool", []*Value{x, seqStart}, Attr{"mode", mode})
}

// Soft adds the parameter of rows of so many columns that a step brings, and takes them.
func (b *Builder) Soft(cols int) *Value {
	return b.op1("soft", []*Value{b.Param("soft", F32(sym.Of(sym.T), int64(cols)))})
}

// Insert adds the parameters of rows that a step brings in place of those of tokens, and of which tokens these are, and puts them among the rows of x.
func (b *Builder) Insert(x *Value, cols int) *Value {
	types := b.Param("types", I32(sym.Of(sym.T)))
	return b.op1("insert", []*Value{x, b.Param("soft", F32(sym.Of(sym.T), int64(cols))), types})
}

// RMSNorm normalises rows.
func (b *Builder) RMSNorm(x, w *Value, eps float64) *Value {
	return b.op1("rmsnorm", []*Value{x, w}, Attr{"eps", eps})
}

// GroupRMSNorm normalises groups of columns, as for per-head norms of q and k; w has group elements.
func (b *Builder) GroupRMSNorm(x, w *Value, eps float64, group int) *Value {
	return b.op1("rmsnorm", []*Value{x, w}, Attr{"eps", eps}, Attr{"group", int64(group)})
}

// LayerNorm normalises rows around their mean; bias may be nil.
func (b *Builder) LayerNorm(x, w, bias *Value, eps float64) *Value {
	return b.op1("layernorm", []*Value{x, w, bias}, Attr{"eps", eps})
}

// Linear multiplies x [M,K] with w [N,K]; bias may be nil.
func (b *Builder) Linear(x, w, bias *Value) *Value {
	return b.op1("linear", []*Value{x, w, bias})
}

// Columns takes the columns of x that order, a vector, names.
func (b *Builder) Columns(x, order *Value) *Value { return b.op1("columns", []*Value{x, order}) }

// SiLU applies x*sigmoid(x).
func (b *Builder) SiLU(x *Value) *Value { return b.Activation("silu", x) }

// Activation applies one of Activations.
func (b *Builder) Activation(name string, x *Value) *Value { return b.op1(name, []*Value{x}) }

// Gate describes a gated activation; see the attributes of op swiglu. Zero fields are the defaults of the table.
type Gate struct {
	Act          string
	Limit, Shift float64
}

// Gated is act(gate) * up.
func (b *Builder) Gated(gate, up *Value, g Gate) *Value {
	return b.op1("swiglu", []*Value{gate, up}, Attr{"act", g.Act}, Attr{"limit", g.Limit}, Attr{"shift", g.Shift})
}

// Softcap bounds x smoothly: by*tanh(x/by).
func (b *Builder) Softcap(x *Value, by float64) *Value {
	return b.op1("softcap", []*Value{x}, Attr{"by", by})
}

// Mul multiplies element by element.
func (b *Builder) Mul(x, y *Value) *Value { return b.op1("mul", []*Value{x, y}) }

// Add adds element by element.
func (b *Builder) Add(x, y *Value) *Value { return b.op1("add", []*Value{x, y}) }

// Scale multiplies by a constant.
func (b *Builder) Scale(x *Value, by float64) *Value {
	return b.op1("scale", []*Value{x}, Attr{"by", by})
}

// ScaleRows multiplies each row of x [M,N] by its number of by [M,1].
func (b *Builder) ScaleRows(x, by *Value) *Value { return b.op1("scale_rows", []*Value{x, by}) }

// ScalePositions multiplies rows by what grows with the logarithm of their position; see op scale_positions.
func (b *Builder) ScalePositions(x *Value, s Step, by float64, every int) *Value {
	return b.op1("scale_positions", []*Value{x, s.Positions}, Attr{"by", by}, Attr{"every", int64(every)})
}

// Slice takes columns [start, start+n).
func (b *Builder) Slice(x *Value, start, n int) *Value {
	return b.op1("slice", []*Value{x}, Attr{"start", int64(start)}, Attr{"len", int64(n)})
}

// SelectRows takes the rows of x that indices name.
func (b *Builder) SelectRows(x, indices *Value) *Value {
	return b.op1("select_rows", []*Value{x, indices})
}

// Rope describes a rotary embedding; see the attributes of op rope. Zero fields are the defaults of the table.
type Rope struct {
	InvFreq       *Value // f32[1, rotary/2]; longrope: [2, rotary/2], short then long
	RotaryDim     int    // 0: all channels of a head
	Style         string // "half" (also ""), "interleaved"
	Factor        float64
	Mode          string // "static" (also ""), "longrope", "dynamic"
	OriginalMax   int
	MaxPositions  int
	Base          float64
	DynamicFactor float64
}

// Static tells whether the frequencies are the same whatever the length, so that K can be cached turned.
func (r Rope) Static() bool { return r.Mode == "" || r.Mode == "static" }

func (r Rope) attrs() []Attr {
	all := []Attr{
		{"rotary_dim", int64(r.RotaryDim)}, {"style", r.Style}, {"factor", r.Factor}, {"mode", r.Mode},
		{"original_max", int64(r.OriginalMax)}, {"max_positions", int64(r.MaxPositions)}, {"base", r.Base}, {"ntk_factor", r.DynamicFactor},
	}
	var set []Attr
	for _, a := range all {
		if a.Val != int64(0) && a.Val != 0.0 && a.Val != "" {
			set = append(set, a)
		}
	}
	return set
}

// Rope turns heads of dim channels of x.
func (b *Builder) Rope(x *Value, s Step, r Rope, heads, dim int) *Value {
	attrs := append([]Attr{{"heads", int64(heads)}, {"dim", int64(dim)}}, r.attrs()...)
	return b.op1("rope", []*Value{x, s.Positions, s.RopeLen, r.InvFreq}, attrs...)
}

// KVWrite stores k and v and returns the cache's next token.
func (b *Builder) KVWrite(token, k, v *Value, layer int) *Value {
	return b.op1("kv.write", []*Value{token, k, v}, Attr{"layer", int64(layer)})
}

// Attention describes paged attention; see the attributes of op attn.paged.
type Attention struct {
	Layer, Heads, KVHeads, Dim int
	Scale                      float64
	Window, Chunk              int     // 0: none
	Ahead                      int     // positions seen behind the token's own; EveryPosition: all
	Softcap                    float64 // 0: off
	Rope                       Rope    // read only when it is not static: K is then turned when read
	ALiBi, Sinks               *Value  // a number for each head; nil: none
	Relative                   *Value  // [buckets, heads]; nil: none
	Buckets                    relative.Buckets
}

// EveryPosition is more positions than any sequence has.
const EveryPosition = 1 << 30

// Attention lets q read the cache as it is after token.
func (b *Builder) Attention(q, token *Value, s Step, a Attention) *Value {
	attrs := []Attr{
		{"layer", int64(a.Layer)}, {"heads", int64(a.Heads)}, {"kv_heads", int64(a.KVHeads)}, {"dim", int64(a.Dim)},
		{"scale", a.Scale}, {"window", int64(a.Window)}, {"ahead", int64(a.Ahead)}, {"chunk", int64(a.Chunk)}, {"softcap", a.Softcap},
	}
	if a.Relative != nil {
		both := map[bool]int64{true: 1}
		attrs = append(attrs, Attr{"reach", int64(a.Buckets.Reach)}, Attr{"both", both[a.Buckets.Both]})
	}
	args := []*Value{q, token, nil, nil, nil, a.ALiBi, a.Sinks, a.Relative}
	if !a.Rope.Static() {
		args[2], args[3], args[4] = s.Positions, s.RopeLen, a.Rope.InvFreq
		attrs = append(attrs, a.Rope.attrs()...)
	}
	return b.op1("attn.paged", args, attrs...)
}
