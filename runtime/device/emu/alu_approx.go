package emu

import "math"

// transcendental functions, computed in double and rounded once: the approximate instructions of hardware differ from this in
// the last places.
var approxOps = map[string]func(x float64) float64{
	"rcp":   func(x float64) float64 { return oddDiv(1, x) },
	"sqrt":  oddSqrt,
	"rsqrt": func(x float64) float64 { return 1 / math.Sqrt(x) },
	"sin":   math.Sin,
	"cos":   math.Cos,
	"lg2":   math.Log2,
	"ex2":   exp2,
	"tanh":  math.Tanh,
}

// exp2 avoids a subnormal detour: far below zero the answer is zero in every format.
func exp2(x float64) float64 {
	if x < -1000 {
		return 0
	}
	return math.Exp2(x)
}

// decodeApprox decodes rcp, sqrt, rsqrt, sin, cos, lg2, ex2, tanh.
func decodeApprox(d *decoder) {
	t, ok := d.lastType()
	if !ok {
		return
	}
	f, mode, ftz := approxOps[d.in.Op], d.rounding(), hasMod(d.in, "ftz")
	switch {
	case t.kind == kFloat && t.bits == 64:
		d.op1(t, each1(doubleApprox(d.in.Op, f, mode)), ClassSpecial)
	case t.kind == kFloat && t.bits == 32:
		d.op1(t, each1(func(a uint64) uint64 { return finishF32(f(float64(float32From(a, ftz))), mode, ftz, false) }), ClassSpecial)
	case t.float() && t.bits == 16:
		fm, _ := formatOf(t)
		d.op1(t, each1(func(a uint64) uint64 {
			out := uint64(0)
			for s := 0; s < t.width(); s += 16 {
				out |= fm.finish(f(fm.input(a>>s, ftz)), ftz, false, false) << s
			}
			return out
		}), ClassSpecial)
	default:
		d.unsupported("type")
	}
}

func doubleApprox(op string, f func(float64) float64, mode rounding) func(a uint64) uint64 {
	return func(a uint64) uint64 {
		x := math.Float64frombits(a)
		switch op {
		case "rcp":
			r := 1 / x
			rest := math.FMA(-r, x, 1)
			if x < 0 {
				rest = -rest
			}
			return double(directed(r, rest, mode))
		case "sqrt":
			r := math.Sqrt(x)
			return double(directed(r, math.FMA(-r, r, x), mode))
		}
		return double(f(x))
	}
}
