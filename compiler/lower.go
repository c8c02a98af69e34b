package compiler

import (
	"fmt"

	"llmc/codegen/x86"
	"llmc/engine"
	"llmc/ir"
	"llmc/passes"
)

// lowered is a module as compiled for one target.
type lowered struct {
	module  *ir.Module
	program *engine.Program
	report  *passes.Report
}

// lower runs the passes on a copy of m and generates the step program.
func (o *Options) lower(m *ir.Module, target engine.Target, policy passes.Policy) (*lowered, error) {
	t, err := x86.NewTarget(target)
	if err != nil {
		return nil, err
	}
	l := &lowered{module: m.Clone()}
	options := passes.Options{Target: t, Policy: policy, Disabled: o.Disabled, Check: o.Check, Dump: o.DumpTo, DumpPass: o.Dump}
	if o.Trace != nil {
		run := o.Trace.Begin(target.Name, l.module)
		options.After = run.After
		defer func() { run.End(l.report) }()
	}
	l.report, err = passes.Run(l.module, options)
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", target.Name, err)
	}
	l.program, err = x86.Emit(l.module, l.module.Func("step"), target.Name)
	return l, err
}

// sameWeights tells whether two targets read the same packed weights, so that the plan holds them once.
func sameWeights(a, b *ir.Module) error {
	if len(a.Weights) != len(b.Weights) {
		return fmt.Errorf("%d weights and %d", len(a.Weights), len(b.Weights))
	}
	for i, w := range a.Weights {
		if v := b.Weights[i]; w.Name != v.Name || !w.Type.Equal(v.Type) || w.Segment != v.Segment {
			return fmt.Errorf("weight %q: %v and %v", w.Name, w.Type, v.Type)
		}
	}
	return nil
}

// ruleCounts is the passes' report in the form that the plan keeps.
func ruleCounts(r *passes.Report) []engine.RuleCount {
	var counts []engine.RuleCount
	for _, p := range r.Passes {
		for _, rule := range p.Rules {
			counts = append(counts, engine.RuleCount{Pass: p.Name, Rule: rule.Rule, Count: int64(rule.Count)})
		}
	}
	return counts
}
