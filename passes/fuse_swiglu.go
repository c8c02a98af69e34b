package passes

import "llmc/ir"

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
var fuseSwiGLURules = []Rule{
	{Name: "silu-mul", Match: "(mul (silu g) u)", Replace: "(swiglu g u)"},
	{
		Name: "linear-swiglu", Match: "(swiglu (linear x gate) (linear x up))", Replace: "(linear_swiglu x w {features=$f block=$b})",
		When: func(m *Match) bool { return m.joinable("gate", "up") },
		Sets: []string{"w", "$f", "$b"},
		Derive: func(m *Match) {
			m.SetAttr("f", columns(m.Root))
			m.SetAttr("b", m.Context.gateBlock())
			m.interleave("w", "gate", "up")
		},
	},
	{
		Name: "linear-bias-swiglu", Match: "(swiglu (linear x gate gbias) (linear x up ubias))", Replace: "(linear_swiglu x w bias {features=$f block=$b})",
		When: func(m *Match) bool { return m.joinable("gate", "up") && m.joinable("gbias", "ubias") },
		Sets: []string{"w", "bias", "$f", "$b"},
		Derive: func(m *Match) {
			m.SetAttr("f", columns(m.Root))
			m.SetAttr("b", m.Context.gateBlock())
			m.interleave("w", "gate", "up")
			m.interleave("bias", "gbias", "ubias")
		},
	},
}

// joinable tells whether two matched weights may become one.
func (m *Match) joinable(a, b string) bool {
	return joinable(m.Context.Module, m.Value(a).Weight, m.Value(b).Weight)
}

// interleave sets name to the weight whose blocks are those of a and b in turn.
func (m *Match) interleave(name, a, b string) {
	one, two := m.Value(a).Weight, m.Value(b).Weight
	recipe := ir.InterleaveRows(m.Context.gateBlock(), one.Recipe, two.Recipe)
	m.Set(name, m.Context.derive(jointName("gate_up", one.Name, two.Name), recipe, one))
	m.Context.dropWeights([]*ir.Weight{one, two})
}

// gateBlock is how many rows of gate and up alternate.
func (c *Context) gateBlock() int64 {
	if c.Options.Target == nil {
		return Plain{}.GateBlock()
	}
	return c.Options.Target.GateBlock()
}
