package cpu

import (
	"fmt"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/engine/partition"
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
	part   *partition.Part  // of the launch that this rank computes
	only   *partition.Range // of all operands and results, where the launch is bound for some
}

func (b *binding) operand(role string) engine.Operand { return b.kernel.Operand(b.launch, role) }

func (b *binding) has(role string) bool { return b.operand(role).Kind != engine.OperandNone }

// view returns the buffer in a role.
func (b *binding) view(role string) (view, error) {
	op := b.operand(role)
	if op.Kind != engine.OperandBuffer {
		return view{}, fmt.Errorf("operand %s is not a buffer", role)
	}
	v := b.f.views[op.Index]
	if b.only != nil {
		return v.span(b.only.From, b.only.To), nil
	}
	return v, nil
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
		b := &binding{f: f, launch: l, kernel: engine.FindKernel(l.Kernel), m: m, part: f.part(m.rank(), i)}
		if b.part.Skip {
			continue
		}
		r, err := b.bind(bind)
		if err != nil {
			return fmt.Errorf("launch %d (%s, %s): %w", i, l.Label, l.Kernel, err)
		}
		f.runners[i] = r
	}
	return f.bindExchanges(m)
}

// bind binds a launch; one that computes some columns from the same of its operands as if there were no others, once for each range of them.
func (b *binding) bind(bind func(*binding) (runner, error)) (runner, error) {
	if b.part.Columns == nil || !partition.Columnwise(b.launch.Kernel) {
		return bind(b)
	}
	var all inOrder
	for i := range b.part.Columns {
		one := *b
		one.only = &b.part.Columns[i]
		r, err := bind(&one)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

// inOrder are runners that run one after the other.
type inOrder []runner

func (all inOrder) run(s *state, worker int) {
	for _, r := range all {
		r.run(s, worker)
	}
}
