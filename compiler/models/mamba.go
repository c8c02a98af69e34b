package models

import (
	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/ir"
)

// mamba has no attention: what a token tells those behind it goes through a state of fixed size (Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling
// with Selective State Spaces"). A sequence may be of any length; the default for how long serves most uses, and --max-context is for others.
var mamba = &family{
	modelType:    "mamba",
	architecture: "MambaForCausalLM",
	sizes: sizes{vocab: "vocab_size", hidden: "hidden_size", inner: "intermediate_size", layers: "num_hidden_layers",
		eps: "layer_norm_epsilon"},
	defaults: defaults{inner: 2, eps: 1e-5, maxPositions: 8192, tied: true},
	names:    names{table: "backbone.embeddings", layers: "backbone.layers.", norm: "backbone.norm_f", head: "lm_head", preAttn: "norm"},
	keys:     []string{"state_size", "conv_kernel", "expand", "time_step_rank", "use_bias", "use_conv_bias"},
	// What training begins with, how numbers are stored, and the names of the first implementation for sizes that are here under others.
	ignored: []string{"time_step_min", "time_step_max", "time_step_floor", "time_step_scale", "time_step_init_scheme", "rescale_prenorm_residual",
		"residual_in_fp32", "use_mambapy", "use_associative_scan", "d_model", "d_inner", "n_layer", "numb_hidden_layers", "fused_add_norm", "rms_norm",
		"pad_vocab_size_multiple", "ssm_cfg"},
	describe: func(f *hf.Fields, d *decoder) {
		if !f.Has("intermediate_size") {
			d.inner = int(f.FloatOr("expand", 2, 1, 64) * float64(d.hidden))
		}
		if d.inner%ir.StateLanes != 0 || d.inner > maxInner {
			f.Fail("intermediate_size", "%d is not a multiple of %d up to %d, the channels that kernels take at a time", d.inner, ir.StateLanes, maxInner)
		}
		d.space = space{
			states: int(f.IntOr("state_size", 16, 1, maxStates)), taps: int(f.IntOr("conv_kernel", 4, 2, maxTaps)),
			rank: (d.hidden + 15) / 16, bias: f.BoolOr("use_bias", false), convBias: f.BoolOr("use_conv_bias", true),
		}
		if f.Value("time_step_rank") != "auto" {
			d.space.rank = int(f.IntOr("time_step_rank", int64(d.space.rank), 1, maxWidth))
		}
	},
}

// Bounds of states, beyond those of any model.
const (
	maxInner  = 1 << 16
	maxStates = 1 << 10
	maxTaps   = 64
)

// space is the state space of a layer: states of each channel, the inputs that a convolution sees, and the rank of the matrix of what channels forget. No
// states: the layer is one of attention.
type space struct {
	states, taps, rank int
	bias, convBias     bool // of the outer projections; of the convolution
}

// mixer is the layer's state space: a gate opens what it tells of x. It returns the cache's next token too.
func (l *layer) mixer(x, token *ir.Value) (y, next *ir.Value) {
	p := &l.space
	in := l.project(x, projection{what: "in", name: "mixer.in_proj", axis: "col", outputs: 2 * l.inner, inputs: l.hidden, biased: p.bias})
	gate := l.Slice(in, l.inner, l.inner)
	var bias *ir.Value
	if p.convBias {
		bias = l.vector(l.prefix+"mixer.conv1d.bias", l.inner)
	}
	x, token = l.StateConv(l.Slice(in, 0, l.inner), token, l.taps(), bias, l.index)
	x.As(l.label + "conv")
	told := l.project(x, projection{what: "x", name: "mixer.x_proj", axis: "row", outputs: p.rank + 2*p.states, inputs: l.inner})
	dt := l.project(l.Slice(told, 0, p.rank), projection{what: "dt", name: "mixer.dt_proj", axis: "col", outputs: l.inner, inputs: p.rank, biased: true})
	scan := ir.Scan{X: x, DT: dt, B: l.Slice(told, p.rank, p.states), C: l.Slice(told, p.rank+p.states, p.states),
		A: l.decay(), Skip: l.vector(l.prefix+"mixer.D", l.inner)}
	y, next = l.StateScan(scan, token, l.index)
	y = l.Mul(l.SiLU(gate), y.As(l.label+"scan"))
	return l.project(y, projection{what: "o", name: "mixer.out_proj", axis: "row", outputs: l.hidden, inputs: l.inner, biased: p.bias}), next
}

// taps declares the convolution's weights, [taps, channels]: kernels take channels side by side.
func (l *layer) taps() *ir.Value {
	name := l.prefix + "mixer.conv1d.weight"
	t := l.tensor(name, l.inner, 1, l.space.taps)
	if t == nil {
		return &ir.Value{}
	}
	recipe := ir.TensorRows(t.Name, 0, int64(l.space.taps))
	recipe.Transpose = true
	return l.declared(name, "", t, recipe, l.space.taps, l.inner)
}

// decay declares what states forget, [states, channels].
func (l *layer) decay() *ir.Value {
	name := l.prefix + "mixer.A_log"
	t := l.tensor(name, l.inner, l.space.states)
	if t == nil {
		return &ir.Value{}
	}
	recipe := ir.TensorRows(t.Name, 0, int64(l.space.states))
	recipe.Transpose, recipe.Transform = true, "negexp"
	w := ir.Weight{Recipe: recipe}
	w.Name, w.Type = name, ir.Tensor(dtype.F32, sym.Const(int64(l.space.states)), sym.Const(int64(l.inner)))
	return l.Declare(w)
}
