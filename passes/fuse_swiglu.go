package passes

import (
	"slices"

	"llmc/ir"
)

// fuseSwiGLURules turn the gated half of an MLP into one op over one weight, in which blocks of rows, 32 where no target says otherwise, belong
// to gate and up in turn: those of the same features lie side by side, and the product needs no buffer.
//
// Before:
//
//	weight %l.gate_proj.weight : bf16[40,16] {axis="col"}
//	weight %l.up_proj.weight : bf16[40,16] {axis="col"}
//	func @f(%x: f32[T,16]) -> (f32[T,40]) {
//	  %gate = linear %x, %l.gate_proj.weight : f32[T,40]
//	  %up = linear %x, %l.up_proj.weight : f32[T,40]
//	  %act = silu %gate : f32[T,40]
//	  %y = mul %act, %up : f32[T,40]
//	  return %y
//	}
//
// After:
//
//	weight %l.gate_up_proj.weight : bf16[128,16] {axis="col"} = interleave(32, tensor("l.gate_proj.weight", 0:40), tensor("l.up_proj.weight", 0:40))
//	func @f(%x: f32[T,16]) -> (f32[T,40]) {
//	  %y = linear_swiglu %x, %l.gate_up_proj.weight {features=40} : f32[T,40]
//	  return %y
//	}
//
// Gates of other activations have an attribute that names theirs, bounds attributes of their own.
var fuseSwiGLURules = slices.Concat(gateRules(), []Rule{
	{
		Name: "linear-swiglu", Match: "(swiglu (linear x gate) (linear x up) {act=$a limit=$l shift=$s})", Replace: "(linear_swiglu x w {features=$f block=$b act=$a limit=$l shift=$s})",
		When: func(m *Match) bool { return m.joinable("gate", "up") },
		Sets: []string{"w", "$f", "$b"},
		Derive: func(m *Match) {
			m.SetAttr("f", columns(m.Root))
			m.SetAttr("b", m.Context.gateBlock())
			m.interleave("w", "gate", "up", 1)
		},
	},
	{
		Name: "linear-bias-swiglu", Match: "(swiglu (linear x gate gbias) (linear x up ubias) {act=$a limit=$l shift=$s})", Replace: "(linear_swiglu x w bias {features=$f block=$b act=$a limit=$l shift=$s})",
		When: func(m *Match) bool { return m.joinable("gate", "up") && m.joinable("gbias", "ubias") },
		Sets: []string{"w", "bias", "$f", "$b"},
		Derive: func(m *Match) {
			m.SetAttr("f", columns(m.Root))
			m.SetAttr("b", m.Context.gateBlock())
			m.interleave("w", "gate", "up", 1)
			m.interleave("bias", "gbias", "ubias", 1)
		},
	},
	{
		Name: "experts-swiglu", Match: "(swiglu (moe.linear x o gate r) (moe.linear x o up r) {act=$a limit=$l shift=$s})", Replace: "(moe.linear_swiglu x o w r {features=$f block=$b act=$a limit=$l shift=$s})",
		When: func(m *Match) bool { return m.stackable("gate", "up") },
		Sets: []string{"w", "$f", "$b"},
		Derive: func(m *Match) {
			m.SetAttr("f", columns(m.Root))
			m.SetAttr("b", m.Context.gateBlock())
			m.interleave("w", "gate", "up", m.experts("gate"))
		},
	},
	{
		Name: "experts-bias-swiglu", Match: "(swiglu (moe.linear x o gate r gbias) (moe.linear x o up r ubias) {act=$a limit=$l shift=$s})",
		Replace: "(moe.linear_swiglu x o w r bias {features=$f block=$b act=$a limit=$l shift=$s})",
		When:    func(m *Match) bool { return m.stackable("gate", "up") && m.stackable("gbias", "ubias") },
		Sets:    []string{"w", "bias", "$f", "$b"},
		Derive: func(m *Match) {
			m.SetAttr("f", columns(m.Root))
			m.SetAttr("b", m.Context.gateBlock())
			experts := m.experts("gate")
			m.interleave("w", "gate", "up", experts)
			m.interleave("bias", "gbias", "ubias", experts)
		},
	},
})

// gateRules has a rule for each activation: "silu-mul" and so on.
func gateRules() []Rule {
	var rules []Rule
	for _, a := range ir.Activations {
		rules = append(rules, Rule{Name: a.Name + "-mul", Match: "(mul (" + a.Name + " g) u)", Replace: "(swiglu g u {act=" + a.Name + "})"})
	}
	return rules
}

// joinable tells whether two matched weights may become one.
func (m *Match) joinable(a, b string) bool {
	return joinable(m.Context.Module, m.Value(a).Weight, m.Value(b).Weight)
}

// stackable also wants rows that can be taken apart, expert by expert.
func (m *Match) stackable(a, b string) bool {
	return m.joinable(a, b) && m.matrices(a, 1) != nil && m.matrices(b, 1) != nil
}

// experts is the number of matrices of a matched weight.
func (m *Match) experts(name string) int64 {
	n, _ := stacked(m.Value(name).Weight)
	return n
}

// matrices returns the recipes of the parts that a matched weight's rows are cut into, one for each expert; nil where rows alternate.
func (m *Match) matrices(name string, experts int64) []*ir.Recipe {
	w := m.Value(name).Weight
	rows, cols, _ := w.Type.Matrix()
	n := rows / experts
	var parts []*ir.Recipe
	for e := range experts {
		part, ok := ir.SliceRows(w.Recipe, cols, e*n, n)
		if !ok {
			return nil
		}
		parts = append(parts, part)
	}
	return parts
}

// interleave sets name to the weight whose blocks are those of a and b in turn, for each of the experts that the rows of both are cut into.
func (m *Match) interleave(name, a, b string, experts int64) {
	one, two := m.Value(a).Weight, m.Value(b).Weight
	gates, ups := []*ir.Recipe{one.Recipe}, []*ir.Recipe{two.Recipe}
	if experts > 1 {
		gates, ups = m.matrices(a, experts), m.matrices(b, experts)
	}
	var parts []*ir.Recipe
	for e, gate := range gates {
		parts = append(parts, ir.InterleaveRows(m.Context.gateBlock(), gate, ups[e]))
	}
	m.Set(name, m.Context.derive(jointName("gate_up", one.Name, two.Name), ir.ConcatRows(parts...), one))
	m.Context.dropWeights([]*ir.Weight{one, two})
}

// gateBlock is how many rows of gate and up alternate.
func (c *Context) gateBlock() int64 {
	if c.Options.Target == nil {
		return Plain{}.GateBlock()
	}
	return c.Options.Target.GateBlock()
}
