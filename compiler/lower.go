package compiler

import (
	"strings"

	"llmc/codegen"
	"llmc/codegen/cuda"
	"llmc/codegen/x86"
	"llmc/engine"
	"llmc/ir"
	"llmc/passes"
)

// finalIR names the section of the IR after the passes, of the first target; others' follows a slash with the target's name.
const finalIR = "final"

// lowered is a module as compiled for one target.
type lowered struct {
	module   *ir.Module
	target   string
	programs []*engine.Program // of the module's functions
	report   *passes.Report
	ptx      string     // of targets whose kernels are part of the plan
	cards    []*lowered // the same for several GPUs
}

// lowerFor lowers a module for one of a target's cards, and for each of several that share it.
func (o *Options) lowerFor(m *ir.Module, target engine.Target, policy passes.Policy, weights *weightTable) (*lowered, error) {
	l, err := o.lower(m, target, policy, weights, 0)
	if err != nil || target.Device == "cpu" {
		return l, err
	}
	for _, n := range o.Cards {
		several, err := o.lower(m, target, policy, weights, n)
		if err != nil {
			return nil, err
		}
		l.cards = append(l.cards, several)
	}
	return l, nil
}

// lower runs the passes on a copy of m, takes its weights into the plan's table and generates the programs of its functions, for so many cards or, 0, for one.
func (o *Options) lower(m *ir.Module, target engine.Target, policy passes.Policy, weights *weightTable, cards int) (*lowered, error) {
	t, coder, err := backends[target.Device](target)
	if err != nil {
		return nil, err
	}
	l := &lowered{module: m.Clone(), target: target.Name}
	options := passes.Options{Target: t, Policy: policy, Rotation: o.Rotation, Smooth: o.smooth, Cards: cards, Disabled: o.Disabled, Check: o.Check, Dump: o.DumpTo, DumpPass: o.Dump}
	if o.Trace != nil && cards == 0 {
		run := o.Trace.Begin(target.Name, l.module)
		options.After = run.After
		defer func() { run.End(l.report) }()
	}
	if l.report, err = passes.Run(l.module, options); err != nil {
		return nil, err
	}
	if o.LoraRank > 0 && cards == 0 {
		keepScales(l.module)
		if coder != nil {
			coder.ServeAdapters()
		}
	}
	if err := weights.add(l.module); err != nil {
		return nil, err
	}
	var writer codegen.Coder // stays nil on targets that own their kernels
	if coder != nil {
		writer = coder
	}
	for _, f := range l.module.Funcs {
		program, err := codegen.Emit(l.module, f, target.Name, writer)
		if err != nil {
			return nil, err
		}
		l.programs = append(l.programs, program)
	}
	if coder != nil {
		l.ptx, err = coder.Text()
	}
	return l, err
}

// functionNames lists a module's functions for messages.
func functionNames(m *ir.Module) string {
	var names []string
	for _, f := range m.Funcs {
		names = append(names, "@"+f.Name)
	}
	return strings.Join(names, ", ")
}

// backends says by device who answers the passes for a target and, where kernels are part of the plan, who writes them.
var backends = map[string]func(engine.Target) (passes.Target, *cuda.Coder, error){
	"cpu": func(row engine.Target) (passes.Target, *cuda.Coder, error) {
		t, err := x86.NewTarget(row)
		return t, nil, err
	},
	"cuda": func(row engine.Target) (passes.Target, *cuda.Coder, error) {
		t, err := cuda.NewTarget(row)
		if err != nil {
			return nil, nil, err
		}
		return t, cuda.NewCoder(t), nil
	},
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
