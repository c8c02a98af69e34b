package cuda_test

import (
	"strings"
	"testing"

	"llmc/codegen"
	"llmc/codegen/cuda"
	"llmc/engine"
	"llmc/internal/sym"
	"llmc/ir/interp"
	"llmc/passes"
)

// Plans whose kernels of experts would read or write behind their buffers are refused when they are opened.
func TestExpertPlansAreChecked(t *testing.T) {
	tokens := sym.Of(sym.T)
	for name, c := range map[string]struct {
		kernel, role string
		spoil        func(l *engine.Launch, b *engine.Buffer)
		want         string
	}{
		"as it is":          {"cuda.moe_route", "logits", func(*engine.Launch, *engine.Buffer) {}, ""},
		"more than experts": {"cuda.moe_route", "weights", func(l *engine.Launch, _ *engine.Buffer) { set(l, "top_k", 9) }, "size 2, not top_k = 9"},
		"top2 of one": {"cuda.moe_route", "logits", func(l *engine.Launch, _ *engine.Buffer) {
			set(l, "groups", 8)
			set(l, "top_groups", 8)
			setText(l, "group_score", "top2")
		}, "have no two largest"},
		"few groups":      {"cuda.moe_route", "logits", func(l *engine.Launch, _ *engine.Buffer) { set(l, "groups", 8) }, "top 2 of 1 groups of 1"},
		"too many groups": {"cuda.moe_route", "logits", func(l *engine.Launch, _ *engine.Buffer) { set(l, "top_groups", 2) }, "top_groups <= groups"},
		"short rows":      {"cuda.moe_dispatch", "rows", func(_ *engine.Launch, b *engine.Buffer) { b.Rows = tokens }, "T rows of places, not 2*T"},
		"short offsets":   {"cuda.moe_dispatch", "offsets", func(_ *engine.Launch, b *engine.Buffer) { b.Rows = sym.Const(8) }, "8 rows of edges, not 9"},
		"another count":   {"cuda.moe_dispatch", "offsets", func(l *engine.Launch, _ *engine.Buffer) { set(l, "count", 9) }, "9 rows of edges, not 10"},
		"places":          {"cuda.moe_linear", "y", func(_ *engine.Launch, b *engine.Buffer) { b.Rows = tokens }, "T rows of places, not 2*T"},
		"rows of experts": {"cuda.moe_linear_swiglu", "y", func(_ *engine.Launch, b *engine.Buffer) { b.Rows = tokens }, "operand y: T rows, not places = 2*T"},
	} {
		t.Run(name, func(t *testing.T) {
			m := mixtures[0].build(t)
			weights, err := interp.NewRandomWeights(m, 1)
			check(t, err)
			gpu := gpuTarget(t, "sm80")
			copied := m.Clone()
			spec, packed := lower(t, m, weights, gpuTarget(t, "sm80"), passes.Policy{Linear: "bf16"}, mixtures[0].vocab)
			_, err = passes.Run(copied, passes.Options{Target: gpu, Policy: passes.Policy{Linear: "bf16"}})
			check(t, err)
			program, err := codegen.Emit(copied, copied.Func("step"), "sm80", cuda.NewCoder(gpu))
			check(t, err)
			for i := range program.Launches {
				if l := &program.Launches[i]; l.Kernel == c.kernel {
					c.spoil(l, &program.Buffers[engine.FindKernel(c.kernel).Operand(l, c.role).Index])
					break
				}
			}
			spec.Sections[1], err = engine.ProgramContent(program)
			check(t, err)
			plan, err := write(t, spec, packed)
			if err == nil {
				_, err = plan.Program("step", "sm80")
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func attrOf(l *engine.Launch, name string) *engine.Attr {
	for i := range l.Attrs {
		if l.Attrs[i].Name == name {
			return &l.Attrs[i]
		}
	}
	return &engine.Attr{}
}

func set(l *engine.Launch, name string, to int64) { attrOf(l, name).Int = to }

func setText(l *engine.Launch, name, to string) { attrOf(l, name).Text = to }
