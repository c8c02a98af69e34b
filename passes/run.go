package passes

import (
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"llmc/ir"
)

// Options say what the passes are to aim at.
type Options struct {
	Target   Target // nil: stop before target-specific passes
	Policy   Policy
	Rotation Rotation
	// Smooth gives the factors of an input, nil to leave it as it is; without it pass smooth does nothing.
	Smooth func(s *Smoothing) ([]float32, error)
	// Cards is how many GPUs are to run the module together, each its part; up to 1: one has all of it.
	Cards    int
	Disabled []string // passes and rules to leave out, by name
	// Check verifies the module, and every property established so far, after each pass.
	Check bool
	// Dump receives the module's text after the pass called DumpPass, or after every pass when that is "all".
	Dump     io.Writer
	DumpPass string
	// After, when set, is called after each pass.
	After func(pass string, m *ir.Module)
}

// Report says what the passes did.
type Report struct {
	Passes []PassReport
}

// PassReport counts what a pass did, in order of first occurrence: rules that fired, kernels chosen, barriers, slots.
type PassReport struct {
	Name  string
	Rules []RuleCount
}

// RuleCount is how often a named rewrite fired.
type RuleCount struct {
	Rule  string
	Count int
}

// Context is what a pass works on.
type Context struct {
	Module  *ir.Module
	Options *Options

	report  *PassReport
	current *ir.Value
	names   map[string]bool // taken in the module; nil until a name is needed
}

// at notes which value a pass is working on, for the message of a crash.
func (c *Context) at(v *ir.Value) { c.current = v }

// fresh returns base, or base with a number where that name is taken.
func (c *Context) fresh(base string) string {
	if c.names == nil {
		c.names = c.Module.Names()
	}
	return ir.Fresh(c.names, base)
}

// fired counts a rewrite, or another thing done that a report should show.
func (c *Context) fired(rule string) {
	for i := range c.report.Rules {
		if c.report.Rules[i].Rule == rule {
			c.report.Rules[i].Count++
			return
		}
	}
	c.report.Rules = append(c.report.Rules, RuleCount{rule, 1})
}

func (c *Context) disabled(name string) bool { return slices.Contains(c.Options.Disabled, name) }

// Crash is the panic value of a pass that failed on a valid module: a bug of the compiler.
type Crash struct {
	Pass  string
	Value string // that the pass was working on
	Cause any
	Stack string
	IR    string // the module before the pass
}

func (e *Crash) Error() string {
	return fmt.Sprintf("pass %s failed at %s: %v (a bug in the compiler)", e.Pass, e.Value, e.Cause)
}

// Run takes m through the whole table. The module is changed in place.
func Run(m *ir.Module, opts Options) (*Report, error) {
	if err := checkNames(&opts); err != nil {
		return nil, err
	}
	report := &Report{}
	var established []Property
	for i := range Table {
		p := &Table[i]
		if p.NeedsTarget && opts.Target == nil || slices.Contains(opts.Disabled, p.Name) {
			continue
		}
		r, err := apply(p, m, &opts)
		if err != nil {
			return nil, err
		}
		report.Passes = append(report.Passes, r)
		established = append(established, p.establishes(&opts)...)
		if !opts.Check {
			continue
		}
		if err := checkModule(m, established); err != nil {
			return nil, fmt.Errorf("after pass %s: %w", p.Name, err)
		}
	}
	return report, ir.Verify(m)
}

// RunOne applies the pass called name alone, for `llmc opt --pass`. What the pass requires must already hold.
func RunOne(name string, m *ir.Module, opts Options) (PassReport, error) {
	p := Find(name)
	if p == nil {
		return PassReport{}, unknownPass(name)
	}
	if err := checkNames(&opts); err != nil {
		return PassReport{}, err
	}
	if p.NeedsTarget && opts.Target == nil {
		return PassReport{}, fmt.Errorf("pass %s needs a target", name)
	}
	if err := checkModule(m, p.Requires); err != nil {
		return PassReport{}, fmt.Errorf("pass %s: %w", name, err)
	}
	report, err := apply(p, m, &opts)
	if err != nil {
		return PassReport{}, err
	}
	return report, checkModule(m, p.establishes(&opts))
}

// establishes returns what holds after the pass: nothing more when a part of it is switched off.
func (p *Pass) establishes(opts *Options) []Property {
	for _, name := range p.rewrites() {
		if slices.Contains(opts.Disabled, name) {
			return nil
		}
	}
	return p.Establishes
}

func apply(p *Pass, m *ir.Module, opts *Options) (PassReport, error) {
	report := PassReport{Name: p.Name}
	c := &Context{Module: m, Options: opts, report: &report}
	before := ir.Print(m)
	defer func() {
		if cause := recover(); cause != nil {
			panic(&Crash{p.Name, describe(c.current), cause, string(debug.Stack()), before})
		}
	}()
	c.rewrite(p.Rules)
	if p.Run != nil {
		if err := p.Run(c); err != nil {
			return report, fmt.Errorf("pass %s: %w", p.Name, err)
		}
	}
	for _, f := range m.Funcs {
		f.Number()
	}
	if opts.Dump != nil && (opts.DumpPass == "all" || opts.DumpPass == p.Name) {
		if _, err := fmt.Fprintf(opts.Dump, "// after %s\n%s\n", report, ir.Print(m)); err != nil {
			return report, fmt.Errorf("dump after pass %s: %w", p.Name, err)
		}
	}
	if opts.After != nil {
		opts.After(p.Name, m)
	}
	return report, nil
}

// String prints "fuse-swiglu: silu-mul 2, linear-swiglu 2".
func (r PassReport) String() string {
	if len(r.Rules) == 0 {
		return r.Name + ": nothing to do"
	}
	var parts []string
	for _, rule := range r.Rules {
		parts = append(parts, fmt.Sprintf("%s %d", rule.Rule, rule.Count))
	}
	return r.Name + ": " + strings.Join(parts, ", ")
}

// describe names a value in messages.
func describe(v *ir.Value) string {
	switch {
	case v == nil:
		return "the module"
	case v.Name != "":
		return "%" + v.Name
	case v.Def != nil:
		return fmt.Sprintf("%%%d (%s)", v.ID, v.Def.Kind.Name)
	}
	return fmt.Sprintf("%%%d", v.ID)
}

// checkNames refuses names of passes and rules that do not exist: a typing error would silently do nothing.
func checkNames(opts *Options) error {
	known := append(Names(), RuleNames()...)
	for _, name := range opts.Disabled {
		if !slices.Contains(known, name) {
			return ir.Unknown("pass or rule", name, known)
		}
	}
	if opts.DumpPass != "" && opts.DumpPass != "all" && Find(opts.DumpPass) == nil {
		return unknownPass(opts.DumpPass)
	}
	return nil
}

func checkModule(m *ir.Module, properties []Property) error {
	if err := ir.Verify(m); err != nil {
		return err
	}
	for _, p := range properties {
		for _, f := range m.Funcs {
			if err := p.check(m, f); err != nil {
				return fmt.Errorf("property %v does not hold: function @%s: %w", p, f.Name, err)
			}
		}
	}
	return nil
}
