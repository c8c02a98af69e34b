package cuda

import (
	"fmt"
	"slices"

	"llmc/codegen"
	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/ir"
	"llmc/passes"
)

// Target answers the passes' questions for one GPU row of engine.Targets. It implements passes.Target.
type Target struct {
	engine.Target
	PTX ptx.Target
}

// NewTarget returns the target of a GPU row.
func NewTarget(row engine.Target) (Target, error) {
	name := fmt.Sprintf("sm_%d", row.SM)
	if row.SM == ptx.SM90a.SM {
		name = ptx.SM90a.Name // wgmma; plans for newer ones fall back on sm80
	}
	p, ok := ptx.FindTarget(name)
	if row.Device != "cuda" || !ok {
		return Target{}, fmt.Errorf("target %s is not a GPU that PTX can be written for", row.Name)
	}
	return Target{row, p}, nil
}

// Name returns the name of the row.
func (t Target) Name() string { return t.Target.Name }

// candidate is one kernel for an op. usable says more than the op's kind; nil: always.
type candidate struct {
	kernel string
	usable func(op *ir.Op) bool
}

// candidates lists the kernels by op, cheapest first.
var candidates = map[string][]candidate{
	"gather":           {{kernel: "cuda.gather"}},
	"gather_positions": {{kernel: "cuda.gather_positions"}},
	"gather_types":     {{kernel: "cuda.gather_types"}},
	"pool":             {{kernel: "cuda.pool"}},
	"soft":             {{kernel: "cuda.soft"}},
	"insert":           {{kernel: "cuda.insert"}},
	"rmsnorm":          {{kernel: "cuda.rmsnorm", usable: wholeRows}},
	"add_rmsnorm":      {{kernel: "cuda.add_rmsnorm"}},
	"layernorm":        {{kernel: "cuda.layernorm"}},
	"add_layernorm":    {{kernel: "cuda.add_layernorm"}},
	"linear":           {{kernel: "cuda.linear", usable: matrixInput}},
	"linear_swiglu":    {{kernel: "cuda.linear_swiglu", usable: gatedTiles}},
	"linear_act":       {{kernel: "cuda.linear_act", usable: wholeColumns}},
	"linear_add":       {{kernel: "cuda.linear_add", usable: scaledColumns}},
	"linear_rope_kv":   {{kernel: "cuda.linear_rope_kv", usable: func(op *ir.Op) bool { return matrixInput(op) && op.Int("dim")%layout.FragmentRows == 0 }}},
	"rope_turns":       {{kernel: "cuda.rope_turns"}},
	"quantize":         {{kernel: "cuda.quantize", usable: func(op *ir.Op) bool { return quantizers[op.Text("format")].encode != nil }}},
	"rope_kv": {{kernel: "cuda.rope_kv", usable: func(op *ir.Op) bool { return plainHeads(op) && !ir.NormsRows(op) }},
		{kernel: "cuda.rope_kv_rows", usable: func(op *ir.Op) bool { return plainHeads(op) && ir.NormsRows(op) }}},
	"kv.write": {{kernel: "cuda.kv_write"}},
	"attn.paged": {{kernel: "cuda.attention", usable: func(op *ir.Op) bool { return attends(op) && op.Int("ahead") == 0 && op.Arg("relative") == nil }},
		{kernel: "cuda.attention_ahead", usable: func(op *ir.Op) bool {
			return attends(op) && op.Int("ahead") > 0 && op.Arg("sinks") == nil && op.Arg("relative") == nil && !seesText(op)
		}},
		{kernel: "cuda.attention_relative", usable: func(op *ir.Op) bool {
			return attends(op) && op.Arg("relative") != nil && relativeHeads(op) && !seesText(op)
		}},
		{kernel: "cuda.attention_text", usable: func(op *ir.Op) bool { return attends(op) && plainText(op) }}},
	"rope":         {{kernel: "cuda.rope", usable: plainHeads}},
	"linear_heads": {{kernel: "cuda.linear_heads", usable: headInputs}},
	"latent.write": {{kernel: "cuda.latent_write", usable: func(op *ir.Op) bool { return latentRow(op.Arg("c"), op.Arg("k"), 1) }}},
	"attn.latent":  {{kernel: "cuda.attention_latent", usable: func(op *ir.Op) bool { return latentRow(op.Arg("q"), op.Arg("q_rope"), op.Int("heads")) }}},

	"own_columns":   {{kernel: "cuda.own_columns"}},
	"exchange":      {{kernel: "cuda.exchange"}},
	"exchange_pair": {{kernel: "cuda.exchange_pair"}},

	"select_rows":     {{kernel: "cuda.select_rows"}},
	"cast":            {{kernel: "cuda.cast"}},
	"swiglu":          {{kernel: "cuda.swiglu"}},
	"silu":            {{kernel: "cuda.silu"}},
	"gelu":            {{kernel: "cuda.gelu"}},
	"gelu_tanh":       {{kernel: "cuda.gelu_tanh"}},
	"quick_gelu":      {{kernel: "cuda.quick_gelu"}},
	"relu":            {{kernel: "cuda.relu"}},
	"relu2":           {{kernel: "cuda.relu2"}},
	"sigmoid":         {{kernel: "cuda.sigmoid"}},
	"softcap":         {{kernel: "cuda.softcap"}},
	"add":             {{kernel: "cuda.add"}},
	"mul":             {{kernel: "cuda.mul"}},
	"scale":           {{kernel: "cuda.scale"}},
	"scale_rows":      {{kernel: "cuda.scale_rows"}},
	"scale_positions": {{kernel: "cuda.scale_positions"}},
	"columns":         {{kernel: "cuda.columns"}},
	"state.conv":      {{kernel: "cuda.state_conv"}},
	"state.scan":      {{kernel: "cuda.state_scan"}},

	"moe.route":         {{kernel: "cuda.moe_route"}},
	"moe.dispatch":      {{kernel: "cuda.moe_dispatch"}},
	"moe.linear":        {{kernel: "cuda.moe_linear", usable: matrixInput}},
	"moe.linear_swiglu": {{kernel: "cuda.moe_linear_swiglu", usable: gatedTiles}},
	"moe.combine":       {{kernel: "cuda.moe_combine"}},
}

// latentRow tells that kernels take the rows of a latent cache, of which values have the channels of values and turning ones the others, of each head.
func latentRow(values, turning *ir.Value, heads int64) bool {
	rank, _ := values.Type.Cols()
	rope, _ := turning.Type.Cols()
	_, err := layout.NewPlainLatent(dtype.BF16, layout.MinPageSize, int(rank/heads), int((rank+rope)/heads))
	return err == nil
}

// headInputs tells that columns of heads are rounded to what the matrix units multiply with the matrices, a pair at a time.
func headInputs(op *ir.Op) bool {
	w := op.Arg("w").Type
	half := op.Text("input") == dtype.F16.String()
	return w.Dims[w.Rank()-1].K%2 == 0 && op.Arg("x").Type.DType == dtype.F32 && half == (w.DType == dtype.F16) && (half || op.Text("input") == dtype.BF16.String())
}

func perHead(op *ir.Op) bool { return op.Kind.Name == "linear_heads" }

func wholeRows(op *ir.Op) bool { return op.Int("group") == 0 }

// wholeTiles tells that a rounded result of so many columns has no padding, which products do not write. That of a card's part of a weight is no product's input
// before it has been exchanged.
func wholeTiles(op *ir.Op, columns int64) bool {
	return op.Arg("w").Weight.Part != nil || op.Text("dtype") == "f32" || op.Text("dtype") == ir.MaximaFormat || columns%64 == 0
}

// wholeColumns is wholeTiles of a product of as many columns as outputs.
func wholeColumns(op *ir.Op) bool {
	n, _ := op.Result().Type.Cols()
	return matrixInput(op) && wholeTiles(op, n)
}

// scaledColumns leaves out f16: rows that are not yet normalised can pass its range.
func scaledColumns(op *ir.Op) bool { return wholeColumns(op) && op.Text("dtype") != "f16" }

// gatedTiles is wholeTiles of a gated product whose gate and up alternate as kernels want.
func gatedTiles(op *ir.Op) bool {
	return matrixInput(op) && wholeTiles(op, op.Int("features")) && op.Int("block") == gateBlock
}

// gateBlock puts gate and up of a feature into one lane of a matrix instruction's result.
const gateBlock = layout.FragmentRows / 2

// GateBlock implements passes.Target.
func (t Target) GateBlock() int64 { return gateBlock }

// JoinsCaches tells that a launch more would cost more than turning by nothing.
func (t Target) JoinsCaches() bool { return true }

func matrixInput(op *ir.Op) bool {
	x := op.Arg("x").Type
	if n, _ := x.Cols(); codegen.Named(op, "raw") != nil && !rawInput(n) {
		return false
	}
	if x.Quant != "" {
		base, _ := ir.SplitQuant(x.Quant)
		return multipliedFrom[base] > 0
	}
	return x.DType == dtype.F16 && op.Arg("w").Type.DType == dtype.F16 || x.DType == dtype.BF16 && op.Arg("w").Type.DType != dtype.F16
}

// plainHeads tells that a head fits the registers of a warp.
func plainHeads(op *ir.Op) bool { return op.Int("dim") <= layout.MaxPlainDim }

// attends tells that attention has heads and results that kernels write.
func attends(op *ir.Op) bool { return plainHeads(op) && op.Text("dtype") != "f16" }

// wholeMaxima tells that largest magnitudes are all of as many columns, of one head.
func wholeMaxima(op *ir.Op) bool {
	for _, r := range op.Results {
		n, _ := r.Type.Cols()
		if op.Kind.Name == "attn.paged" {
			n = op.Int("dim")
		}
		if r.Type.Quant == ir.MaximaFormat && n%layout.MaximaColumns != 0 {
			return false
		}
	}
	return true
}

// Kernels lists the kernels that can run op.
func (t Target) Kernels(op *ir.Op) []passes.Kernel {
	var list []passes.Kernel
	for i, c := range candidates[op.Kind.Name] {
		if wholeMaxima(op) && (c.usable == nil || c.usable(op)) {
			list = append(list, passes.Kernel{Name: c.kernel, Cost: float64(i + 1)})
		}
	}
	return list
}

// layoutBases names the packed layout of a quantization format; the group size is part of both names.
var layoutBases = map[string]string{"int8": "frag.u8", "int8a8": "frag.s8", "int4": "frag.u4", "int4z": "frag.u4z", "fp8": "frag.e4m3", "fp8_tensor": "frag.e4m3", "fp8_block": "frag.e4m3"}

// Layout names the packed layout of a matrix by its format. Vectors and the tables of rotary frequencies stay row-major.
func (t Target) Layout(w *ir.Weight, readers []*ir.Op) (string, error) {
	if w.Type.Rank() < 2 || !codegen.Packed(w, readers) {
		return "", nil
	}
	name := "frag." + w.Type.DType.String()
	if w.Type.Quant != "" {
		base, group := ir.SplitQuant(w.Type.Quant)
		if base == "int8a8" && slices.ContainsFunc(readers, perHead) {
			base = "int8" // the same codes, which inputs of numbers are multiplied with
		}
		name = ir.QuantName(layoutBases[base], group)
	}
	if _, err := layout.NewFragments(name, 1, 1); err != nil {
		return "", fmt.Errorf("%v: no GPU kernel reads this format", w.Type)
	}
	return name, nil
}

// InputFormat tells that codes are dequantized on their way to the matrix units, but for those that the units multiply.
func (t Target) InputFormat(f *quant.Format) (string, error) {
	base, _ := ir.SplitQuant(f.Type)
	switch {
	case f.DType == dtype.F16:
		return "f16", nil
	case layoutBases[base] == "":
		return "", fmt.Errorf("no GPU kernel reads %s; use int8", f.Name)
	case multipliedFrom[f.Activation] > 0 && t.SM >= multipliedFrom[f.Activation]:
		return f.Activation, nil
	}
	return "bf16", nil
}

// multipliedFrom is the least target whose matrix units multiply inputs of a format of codes. On sm_90 wgmma takes e4m3 (ptxas makes products of
// f16 of mma.sync there).
var multipliedFrom = map[string]int{"e4m3t": 89, "e4m3g": 89, "s8t": 80}

// convertsE4M3 tells whether the target has instructions that convert e4m3.
func (t Target) convertsE4M3() bool { return t.SM >= 89 }

// RowBytes is the distance between rows of an activation.
func (t Target) RowBytes(typ ir.Type) (int64, error) {
	if typ.DType == dtype.I32 {
		cols, _ := typ.Cols()
		return 4 * cols, nil // indices are read as one array
	}
	a, err := codegen.Activation(typ)
	if err != nil {
		return 0, err
	}
	return int64(a.RowBytes()+layout.Align-1) / layout.Align * layout.Align, nil
}

var _ passes.Target = Target{}
