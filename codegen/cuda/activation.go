package cuda

import (
	"math"

	"llmc/codegen/ptx"
)

const log2e = math.Log2E

// activations are functions of f32, by the names of engine's attribute "act".
var activations = map[string]func(e *entry, x ptx.Reg) ptx.Reg{
	"silu":      func(e *entry, x ptx.Reg) ptx.Reg { return e.swish(x, x, 1) },
	"gelu":      (*entry).gelu,
	"gelu_tanh": (*entry).geluTanh,
	"quick_gelu": func(e *entry, x ptx.Reg) ptx.Reg {
		return e.swish(x, x, 1.702)
	},
	"relu": func(e *entry, x ptx.Reg) ptx.Reg { return e.MaxNaN(x, 0.0) },
	"relu2": func(e *entry, x ptx.Reg) ptx.Reg {
		positive := e.MaxNaN(x, 0.0)
		return e.Mul(positive, positive)
	},
	"sigmoid": func(e *entry, x ptx.Reg) ptx.Reg { return e.Div(1.0, e.Add(e.Ex2(e.Mul(x, -log2e)), 1)) },
}

// activate applies the function that the launch names.
func (e *entry) activate(x ptx.Reg) ptx.Reg { return activations[e.launch.Text("act", "silu")](e, x) }

// gate is act(gate) * (up + shift) of bounded operands, as the launch says.
func (e *entry) gate(gate, up ptx.Reg) ptx.Reg {
	if limit := e.launch.Float("limit", 0); limit > 0 {
		gate, up = e.MinNaN(gate, limit), e.MinNaN(e.MaxNaN(up, -limit), limit)
	}
	if shift := e.launch.Float("shift", 0); shift != 0 {
		up = e.Add(up, shift)
	}
	return e.Mul(e.activate(gate), up)
}

// swish is x / (1 + exp(-factor*u)).
func (e *entry) swish(x, u ptx.Reg, factor float64) ptx.Reg {
	return e.Div(x, e.Add(e.Ex2(e.Mul(u, -factor*log2e)), 1))
}

// geluTanh is x * (1 + tanh(u)) / 2 = x / (1 + exp(-2u)) of u = sqrt(2/pi) * (x + 0.044715 x^3).
func (e *entry) geluTanh(x ptx.Reg) ptx.Reg {
	const cubic = 0.044715
	u := e.Mul(x, e.Fma(e.Mul(x, x), cubic, 1.0))
	return e.swish(x, u, 2*math.Sqrt(2/math.Pi))
}

// erfc are the numbers p and a1 to a5 of erfc(z) = (a1 t + ... + a5 t^5) exp(-z^2), t = 1 / (1 + p z), for z from 0 on, within 1.5e-7 (Abramowitz
// and Stegun, "Handbook of Mathematical Functions", 7.1.26).
var erfc = [6]float64{0.3275911, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429}

// gelu is x times the share of the normal distribution below x: 1 - erfc(|x|/sqrt(2))/2, or what it is less than 1 by for negative x.
func (e *entry) gelu(x ptx.Reg) ptx.Reg {
	z := e.Mul(e.Abs(x), math.Sqrt2/2)
	t := e.Div(1.0, e.Fma(z, erfc[0], 1.0))
	sum := e.Const(ptx.F32, erfc[5]/2)
	for i := 4; i >= 1; i-- {
		sum = e.Fma(sum, t, erfc[i]/2)
	}
	tail := e.Mul(e.Mul(sum, t), e.Ex2(e.Mul(e.Mul(z, z), -log2e)))
	return e.Mul(x, e.Select(e.Ge(x, 0.0), e.Fma(tail, -1.0, 1.0), tail))
}

// tanh is good to the last places of 1: 1 - 2/(1 + exp(2x)).
func (e *entry) tanh(x ptx.Reg) ptx.Reg {
	return e.Fma(e.Div(1.0, e.Add(e.Ex2(e.Mul(x, 2*log2e)), 1)), -2.0, 1.0)
}
