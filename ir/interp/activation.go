package interp

import "math"

// functions are the activations of ir.Activations.
var functions = map[string]func(x float64) float64{
	"silu":       func(x float64) float64 { return x * sigmoid(x) },
	"gelu":       func(x float64) float64 { return x * math.Erfc(-x/math.Sqrt2) / 2 },
	"gelu_tanh":  func(x float64) float64 { return x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) / 2 },
	"quick_gelu": func(x float64) float64 { return x * sigmoid(1.702*x) },
	"relu":       func(x float64) float64 { return max(x, 0) },
	"relu2":      func(x float64) float64 { return max(x, 0) * max(x, 0) },
	"sigmoid":    sigmoid,
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// withActivations adds the ops that apply a function to each number.
func withActivations(executors map[string]func(*call) error) map[string]func(*call) error {
	for name, f := range functions {
		executors[name] = func(c *call) error { return c.each("x", f) }
	}
	executors["softcap"] = func(c *call) error {
		by := c.op.Float("by")
		return c.each("x", func(x float64) float64 { return by * math.Tanh(x/by) })
	}
	return executors
}

// act is the function that the op's attribute names.
func (c *call) act() func(x float64) float64 { return functions[c.op.Text("act")] }

func (c *call) swiGLU() error {
	return c.pairs("gate", "up", c.gate())
}

// gate is what a gated op makes of a gate and what it lets through.
func (c *call) gate() func(g, u float64) float64 {
	act, limit, shift := c.act(), c.op.Float("limit"), c.op.Float("shift")
	return func(g, u float64) float64 {
		if limit > 0 {
			g, u = min(g, limit), min(max(u, -limit), limit)
		}
		return act(g) * (u + shift)
	}
}

func (c *call) linearAct() error {
	y, err := c.product()
	if err != nil {
		return err
	}
	act := c.act()
	for i, v := range y.Data {
		y.Data[i] = float32(act(float64(v)))
	}
	c.give(y)
	return c.round(y.Data, c.op.Result().Type.DType)
}

// gated is swiglu of rows in which blocks of outputs are those of gate and up in turn.
func (c *call) gated(both Tensor) Tensor {
	y, f, block := newTensor(both.Rows, c.int("features")), c.gate(), c.int("block")
	for m := range y.Rows {
		for i := range y.Cols {
			gate := i/block*2*block + i%block
			y.Row(m)[i] = float32(f(float64(both.Row(m)[gate]), float64(both.Row(m)[gate+block])))
		}
	}
	return y
}
