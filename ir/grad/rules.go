package grad

import (
	"math"

	"llmc/ir"
)

// rule says how an op is run and differentiated. backward adds to the slopes of its operands what those of its results make of them.
type rule struct {
	check    func(op *ir.Op) error // nil: every form of the op
	forward  func(t *Tape, op *ir.Op) error
	backward func(t *Tape, op *ir.Op) error
}

// rules are those of the ops of models that generate text, before passes join any.
var rules = table()

func table() map[string]rule {
	rules := map[string]rule{
		"gather":           {forward: (*Tape).gather, backward: nothing},
		"gather_positions": {forward: (*Tape).gatherPositions, backward: nothing},
		"linear":           {forward: (*Tape).linear, backward: (*Tape).linearBack, check: checkLinear},
		"rmsnorm":          {forward: (*Tape).rmsNorm, backward: (*Tape).rmsNormBack},
		"layernorm":        {forward: (*Tape).layerNorm, backward: (*Tape).layerNormBack},
		"rope":             {forward: (*Tape).rope, backward: (*Tape).ropeBack, check: checkRope},
		"kv.write":         {forward: nothing, backward: nothing},
		"attn.paged":       {forward: (*Tape).attention, backward: (*Tape).attentionBack, check: checkAttention},
		"slice":            {forward: (*Tape).slice, backward: (*Tape).sliceBack},
		"select_rows":      {forward: (*Tape).selectRows, backward: (*Tape).selectRowsBack},
		"scale":            {forward: (*Tape).scale, backward: (*Tape).scaleBack},
		"add":              {forward: (*Tape).add, backward: (*Tape).addBack},
		"mul":              {forward: (*Tape).mul, backward: (*Tape).mulBack},
	}
	for name, f := range functions {
		rules[name] = rule{
			forward:  func(t *Tape, op *ir.Op) error { return t.apply(op, f.value) },
			backward: func(t *Tape, op *ir.Op) error { return t.applyBack(op, f.slope) },
		}
	}
	rules["softcap"] = rule{
		forward: func(t *Tape, op *ir.Op) error {
			by := op.Float("by")
			return t.apply(op, func(x float64) float64 { return by * math.Tanh(x/by) })
		},
		backward: func(t *Tape, op *ir.Op) error {
			by := op.Float("by")
			return t.applyBack(op, func(x float64) float64 { y := math.Tanh(x / by); return 1 - y*y })
		},
	}
	return rules
}

func nothing(*Tape, *ir.Op) error { return nil }

// function is one of ir.Activations, and its derivative.
type function struct{ value, slope func(x float64) float64 }

var functions = map[string]function{
	"silu":       gated(1),
	"quick_gelu": gated(1.702),
	"gelu": {
		func(x float64) float64 { return x * math.Erfc(-x/math.Sqrt2) / 2 },
		func(x float64) float64 {
			return math.Erfc(-x/math.Sqrt2)/2 + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
		},
	},
	"gelu_tanh": {
		func(x float64) float64 { return x * (1 + math.Tanh(tanhOf(x))) / 2 },
		func(x float64) float64 {
			y := math.Tanh(tanhOf(x))
			return (1+y)/2 + x*(1-y*y)*math.Sqrt(2/math.Pi)*(1+3*0.044715*x*x)/2
		},
	},
	"relu": {
		func(x float64) float64 { return max(x, 0) },
		func(x float64) float64 { return math.Ceil(min(max(x, 0), 1)) },
	},
	"relu2": {
		func(x float64) float64 { return max(x, 0) * max(x, 0) },
		func(x float64) float64 { return 2 * max(x, 0) },
	},
	"sigmoid": {
		sigmoid,
		func(x float64) float64 { y := sigmoid(x); return y * (1 - y) },
	},
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func tanhOf(x float64) float64 { return math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x) }

// gated is x times the sigmoid of a multiple of it.
func gated(by float64) function {
	return function{
		func(x float64) float64 { return x * sigmoid(by*x) },
		func(x float64) float64 { y := sigmoid(by * x); return y + by*x*y*(1-y) },
	}
}
