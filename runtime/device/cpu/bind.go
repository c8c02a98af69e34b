package cpu

import (
	"fmt"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/runtime/device/cpu/kernel"
)

// A runner is a launch bound to its memory. run does the worker's share; it does not allocate.
type runner interface {
	run(s *state, worker int)
}

// binders lists the kernels of the CPU device, by the name of their row in engine's kernel table.
var binders = map[string]func(*binding) (runner, error){
	"cpu.gather":            bindGather,
	"cpu.gather_positions":  bindGatherPositions,
	"cpu.layernorm":         bindNorm,
	"cpu.add_layernorm":     bindNorm,
	"cpu.rmsnorm":           bindNorm,
	"cpu.add_rmsnorm":       bindNorm,
	"cpu.quantize":          bindQuantize,
	"cpu.hadamard":          bindHadamard,
	"cpu.linear":            bindLinear,
	"cpu.linear_swiglu":     bindLinear,
	"cpu.rope_kv":           bindRopeKV,
	"cpu.rope":              bindRope,
	"cpu.kv_write":          bindKVWrite,
	"cpu.attention":         bindAttention,
	"cpu.select_rows":       bindSelectRows,
	"cpu.add":               bindElementwise,
	"cpu.mul":               bindElementwise,
	"cpu.silu":              bindElementwise,
	"cpu.swiglu":            bindGated,
	"cpu.gelu":              bindActivation,
	"cpu.gelu_tanh":         bindActivation,
	"cpu.quick_gelu":        bindActivation,
	"cpu.relu":              bindActivation,
	"cpu.relu2":             bindActivation,
	"cpu.sigmoid":           bindActivation,
	"cpu.softcap":           bindSoftcap,
	"cpu.scale":             bindScale,
	"cpu.scale_positions":   bindScalePositions,
	"cpu.cast":              bindQuantize,
	"cpu.columns":           bindColumns,
	"cpu.scale_rows":        bindScaleRows,
	"cpu.moe_route":         bindRoute,
	"cpu.moe_dispatch":      bindDispatch,
	"cpu.moe_linear":        bindExpertLinear,
	"cpu.moe_linear_swiglu": bindExpertLinear,
	"cpu.moe_combine":       bindCombine,
	"cpu.attention_latent":  bindLatentAttention,
	"cpu.latent_write":      bindLatentWrite,
	"cpu.linear_heads":      bindLinearHeads,
	"cpu.state_conv":        bindStateConv,
	"cpu.state_scan":        bindStateScan,
	"cpu.gather_types":      bindGatherTypes,
	"cpu.pool":              bindPool,
	"cpu.soft":              bindSoft,
	"cpu.insert":            bindInsert,
}

// binding gives a binder the operands of its launch, which is one of function f.
type binding struct {
	f      *function
	launch *engine.Launch
	kernel *engine.Kernel
	m      *model
}

func (b *binding) operand(role string) engine.Operand { return b.kernel.Operand(b.launch, role) }

func (b *binding) has(role string) bool { return b.operand(role).Kind != engine.OperandNone }

// view returns the buffer in a role.
func (b *binding) view(role string) (view, error) {
	op := b.operand(role)
	if op.Kind != engine.OperandBuffer {
		return view{}, fmt.Errorf("operand %s is not a buffer", role)
	}
	return b.f.views[op.Index], nil
}

// views returns the buffers in several roles.
func (b *binding) views(roles ...string) ([]view, error) {
	out := make([]view, len(roles))
	for n, role := range roles {
		v, err := b.view(role)
		if err != nil {
			return nil, err
		}
		out[n] = v
	}
	return out, nil
}

// weight returns the entry and the bytes of the weight in a role.
func (b *binding) weight(role string) (*engine.WeightEntry, []byte, error) {
	op := b.operand(role)
	if op.Kind != engine.OperandWeight {
		return nil, nil, fmt.Errorf("operand %s is not a weight", role)
	}
	return b.m.plan.Weight(b.f.program.Weights[op.Index])
}

// vector returns a row-major f32 weight.
func (b *binding) vector(role string) ([]float32, error) {
	entry, data, err := b.weight(role)
	if err != nil {
		return nil, err
	}
	if entry.Layout != "" || entry.DType != "f32" {
		return nil, fmt.Errorf("weight %q is %s%s, not a plain f32 tensor", entry.Name, entry.DType, entry.Layout)
	}
	return view{data: data}.f32(), nil
}

// matrix returns a packed weight.
func (b *binding) matrix(role string) (kernel.Matrix, error) {
	entry, data, err := b.weight(role)
	if err != nil {
		return kernel.Matrix{}, err
	}
	l, err := layout.New(entry.Layout, int(entry.N()), int(entry.K()), int(entry.Segment))
	if err != nil {
		return kernel.Matrix{}, fmt.Errorf("weight %q: %w", entry.Name, err)
	}
	return kernel.NewMatrix(l, data)
}

// cache returns the pool's cache in a role.
func (b *binding) cache(role string) (int, error) {
	op := b.operand(role)
	if op.Kind != engine.OperandCache {
		return 0, fmt.Errorf("operand %s is not a cache", role)
	}
	return op.Index, nil
}

// bindAll binds every launch of the function.
func (f *function) bindAll(m *model) error {
	f.runners = make([]runner, len(f.program.Launches))
	for i := range f.program.Launches {
		l := &f.program.Launches[i]
		bind := binders[l.Kernel]
		if bind == nil {
			return fmt.Errorf("launch %d (%s): the cpu device has no kernel %q", i, l.Label, l.Kernel)
		}
		r, err := bind(&binding{f, l, engine.FindKernel(l.Kernel), m})
		if err != nil {
			return fmt.Errorf("launch %d (%s, %s): %w", i, l.Label, l.Kernel, err)
		}
		f.runners[i] = r
	}
	return nil
}
