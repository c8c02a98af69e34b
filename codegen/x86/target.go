package x86

import (
	"fmt"

	"llmc/codegen"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/ir"
	"llmc/passes"
)

// Target answers the passes' questions for one row of engine.Targets. It implements passes.Target.
type Target struct{ engine.Target }

// NewTarget returns the target of a CPU row.
func NewTarget(row engine.Target) (Target, error) {
	if row.Device != "cpu" {
		return Target{}, fmt.Errorf("target %s is not an x86-64 processor", row.Name)
	}
	return Target{row}, nil
}

// Name returns the name of the row.
func (t Target) Name() string { return t.Target.Name }

// candidate is one kernel for an op. usable says more than the op's kind; nil: always.
type candidate struct {
	kernel string
	usable func(op *ir.Op) bool
}

// candidates lists the kernels by op, cheapest first. All CPU targets have the same ones: a feature set decides how
// the runtime's kernel computes, not which one is launched.
var candidates = map[string][]candidate{
	"gather":            {{kernel: "cpu.gather"}},
	"gather_positions":  {{kernel: "cpu.gather_positions"}},
	"layernorm":         {{kernel: "cpu.layernorm"}},
	"add_layernorm":     {{kernel: "cpu.add_layernorm"}},
	"rmsnorm":           {{kernel: "cpu.rmsnorm"}},
	"add_rmsnorm":       {{kernel: "cpu.add_rmsnorm"}},
	"linear":            {{kernel: "cpu.linear"}},
	"linear_swiglu":     {{kernel: "cpu.linear_swiglu", usable: wide}},
	"swiglu":            {{kernel: "cpu.swiglu"}},
	"rope":              {{kernel: "cpu.rope"}},
	"kv.write":          {{kernel: "cpu.kv_write"}},
	"rope_kv":           {{kernel: "cpu.rope_kv", usable: func(op *ir.Op) bool { return !ir.NormsRows(op) }}},
	"attn.paged":        {{kernel: "cpu.attention", usable: wide}},
	"select_rows":       {{kernel: "cpu.select_rows"}},
	"silu":              {{kernel: "cpu.silu"}},
	"gelu":              {{kernel: "cpu.gelu"}},
	"gelu_tanh":         {{kernel: "cpu.gelu_tanh"}},
	"quick_gelu":        {{kernel: "cpu.quick_gelu"}},
	"relu":              {{kernel: "cpu.relu"}},
	"relu2":             {{kernel: "cpu.relu2"}},
	"sigmoid":           {{kernel: "cpu.sigmoid"}},
	"softcap":           {{kernel: "cpu.softcap"}},
	"scale":             {{kernel: "cpu.scale"}},
	"scale_positions":   {{kernel: "cpu.scale_positions"}},
	"add":               {{kernel: "cpu.add"}},
	"mul":               {{kernel: "cpu.mul"}},
	"quantize":          {{kernel: "cpu.quantize"}},
	"hadamard":          {{kernel: "cpu.hadamard"}},
	"cast":              {{kernel: "cpu.cast", usable: func(op *ir.Op) bool { return op.Text("dtype") != "f16" }}},
	"columns":           {{kernel: "cpu.columns"}},
	"scale_rows":        {{kernel: "cpu.scale_rows"}},
	"moe.route":         {{kernel: "cpu.moe_route"}},
	"moe.dispatch":      {{kernel: "cpu.moe_dispatch"}},
	"moe.linear":        {{kernel: "cpu.moe_linear"}},
	"moe.linear_swiglu": {{kernel: "cpu.moe_linear_swiglu", usable: wide}},
	"moe.combine":       {{kernel: "cpu.moe_combine"}},
	"linear_heads":      {{kernel: "cpu.linear_heads"}},
	"latent.write":      {{kernel: "cpu.latent_write"}},
	"attn.latent":       {{kernel: "cpu.attention_latent"}},
	"state.conv":        {{kernel: "cpu.state_conv"}},
	"state.scan":        {{kernel: "cpu.state_scan"}},
	"gather_types":      {{kernel: "cpu.gather_types"}},
	"pool":              {{kernel: "cpu.pool"}},
	"soft":              {{kernel: "cpu.soft"}},
	"insert":            {{kernel: "cpu.insert"}},
}

// wide tells that the op does not round its result.
func wide(op *ir.Op) bool { return op.Text("dtype") == "f32" }

// Kernels lists the kernels that can run op.
func (t Target) Kernels(op *ir.Op) []passes.Kernel {
	var list []passes.Kernel
	for i, c := range candidates[op.Kind.Name] {
		if c.usable == nil || c.usable(op) {
			list = append(list, passes.Kernel{Name: c.kernel, Cost: float64(i + 1)})
		}
	}
	return list
}

// layoutBases names the packed layout of a quantization format; the group size is part of both names.
var layoutBases = map[string]string{"int8": "u8", "int8a8": "u8", "int4": "u4", "int4z": "u4z", "int4n": "u4n", "int4a8": "u4", "int4za8": "u4z", "int4na8": "u4n", "mxfp4": "u4e", "nvfp4": "u4f", "q2k": "q2k", "q3k": "q3k", "q4k": "q4k", "q5k": "q5k", "q6k": "q6k", "nf4": "nf4", "fp4": "fp4", "q5m": "q5m", "q4m": "q4m", "q5": "q5", "iq4": "iq4", "int4o": "u4o", "int8o": "u8o", "nf4s": "nf4s", "fp4s": "fp4s", "fp8": "e4m3s", "fp8_tensor": "e4m3s", "fp8_block": "e4m3s"}

// ownInputs are inputs that differ from those that a format of weights has on GPUs: products of codes with an offset want sums of the inputs' codes.
var ownInputs = map[string]string{"s8t": "q8t"}

// Layout names the packed layout of a matrix by its format. Vectors and the tables of rotary frequencies stay row-major.
func (t Target) Layout(w *ir.Weight, readers []*ir.Op) (string, error) {
	if !codegen.Packed(w, readers) {
		return "", nil
	}
	name := w.Type.DType.String()
	if w.Type.Quant != "" {
		base, group := ir.SplitQuant(w.Type.Quant)
		name = layoutBases[base]
		if w.Type.DType == dtype.F8E4M3 && t.MultipliesBF16() { // every number of fp8 is one of bf16; others hold its codes
			name = "bf16s"
		}
		name = ir.QuantName(name, group)
	}
	if _, err := layout.FindFormat(name); err != nil {
		return "", fmt.Errorf("%v: no x86-64 kernel reads this format", w.Type)
	}
	return name, nil
}

// InputFormat tells that integer weights meet integer inputs, and fp8 those of f32 or bf16.
func (t Target) InputFormat(f *quant.Format) (string, error) {
	if f.Plain() {
		return "", fmt.Errorf("no CPU kernel reads %s; use bf16", f.Name)
	}
	if base, _ := ir.SplitQuant(f.Type); layoutBases[base] == "" {
		return "", fmt.Errorf("no CPU kernel reads %s; use int8", f.Name)
	}
	if f.DType == dtype.F8E4M3 {
		if t.MultipliesBF16() {
			return dtype.BF16.String(), nil
		}
		return dtype.F32.String(), nil
	}
	if own := ownInputs[f.Activation]; own != "" {
		return own, nil
	}
	return f.Activation, nil
}

// GateBlock is half of a panel's rows.
func (t Target) GateBlock() int64 { return gateBlock }

// JoinsCaches implements passes.Target.
func (t Target) JoinsCaches() bool { return false }

const gateBlock = 32

// RowBytes is the distance between rows of an activation.
func (t Target) RowBytes(typ ir.Type) (int64, error) {
	if typ.DType == dtype.I32 {
		k, _ := typ.Cols()
		return 4 * k, nil
	}
	a, err := codegen.Activation(typ)
	if err != nil {
		return 0, err
	}
	if typ.DType == dtype.F32 && typ.Quant == "" {
		return int64(a.RowBytes()+layout.Align-1) / layout.Align * layout.Align, nil
	}
	return int64(a.RowBytes()), nil
}

var _ passes.Target = Target{}
