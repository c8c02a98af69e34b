package ptx

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Module is a set of kernels for one target.
type Module struct {
	target  Target
	kernels []*kernel
	raws    int
	quick   bool // errors do not tell where in the Go code they come from
}

// NewModule starts a module for the target.
func NewModule(t Target) *Module { return &Module{target: t} }

// NewQuickModule is NewModule without a note at every statement of the Go code that it comes from, which takes a third of the time of writing
// a kernel. Whoever finds an error in such a module writes it once more in one with notes.
func NewQuickModule(t Target) *Module { return &Module{target: t, quick: true} }

// Target is what the module is built for.
func (m *Module) Target() Target { return m.target }

// Launch says how a kernel will be launched.
type Launch struct {
	Threads int // of a CTA: x
	MinCTAs int // wanted on one SM at a time; 0 leaves it to the assembler
}

// Block is a list of statements; control flow nests them.
type block struct{ nodes []node }

// node is a statement: *instruction, *branch, *loop, *leave, *mark, *settle or *assume.
type node any

// place is where a statement came from, for messages and for comments in the text.
type place struct {
	section string
	comment []string
	callers *callers
}

type instruction struct {
	form     *Form
	operands []operand
	guard    Reg // none when the zero Reg
	place
	raw string // text of an instruction outside the rows
}

// branch is an if with an optional else.
type branch struct {
	cond      Reg
	then      *block
	otherwise *block
	name      string
	place
}

// loop runs its body, then repeats it while again holds; without again it repeats until it is left.
// When skip is given and holds before the first iteration, the body does not run at all.
type loop struct {
	skip, again Reg
	body        *block
	name        string
	noUnroll    bool
	place
}

// leave breaks out of a loop, when cond holds or always.
type leave struct {
	loop *loop
	cond Reg
	place
}

// mark starts a section of the text.
type mark struct{ section string }

// settle ends an overlay of shared memory.
type settle struct{ place }

// assume declares how far a value is the same among threads.
type assume struct {
	reg   Reg
	level Uniformity
}

// kernel is a kernel under construction.
type kernel struct {
	module              *Module
	name                string
	launch              Launch
	params              []Arg
	types               []Type // of the registers, by id; id 0 is none
	top                 *block
	shared              []*Region
	dyn                 dynamicShared
	errs                []error
	found               []error // by the verifier
	verified, verifying bool
	pressure            *pressure // nil: not looked for, or something has been added since

	// where the builder is
	current  *block
	loops    []*loop
	section  string
	comments []string
}

var nameRule = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// Kernel adds a kernel to the module and returns its builder.
func (m *Module) Kernel(name string, l Launch) *Builder {
	k := &kernel{module: m, name: name, launch: l, types: make([]Type, 1), top: &block{}}
	k.current = k.top
	if !nameRule.MatchString(name) {
		k.fail("kernel name %q is not an identifier", name)
	}
	for _, other := range m.kernels {
		if other.name == name {
			k.fail("two kernels of that name")
		}
	}
	if l.Threads <= 0 || l.Threads > m.target.MaxThreads {
		k.fail("%d threads: the target takes 1 to %d", l.Threads, m.target.MaxThreads)
	}
	m.kernels = append(m.kernels, k)
	return &Builder{kernel: k}
}

// Drop takes a kernel out of its module.
func (b *Builder) Drop() {
	b.module.kernels = slices.DeleteFunc(b.module.kernels, func(k *kernel) bool { return k == b.kernel })
}

// Error is one thing that is wrong with a kernel.
type Error struct {
	Kernel, Section, Instruction, Problem string

	Where string // file and line of the kernel's Go code
}

func (e *Error) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "kernel %s", e.Kernel)
	if e.Section != "" {
		fmt.Fprintf(&s, ", section %q", e.Section)
	}
	if e.Instruction != "" {
		fmt.Fprintf(&s, ": %s", e.Instruction)
	}
	s.WriteString(": " + e.Problem)
	if e.Where != "" {
		fmt.Fprintf(&s, " (%s)", e.Where)
	}
	return s.String()
}

// maxErrors bounds what one kernel reports: a mistake in an unrolled loop would repeat itself endlessly.
const maxErrors = 20

func (k *kernel) fail(format string, args ...any) {
	k.report(place{section: k.section, callers: k.whoCalls()}, "", format, args...)
}

func (k *kernel) report(at place, instruction, format string, args ...any) {
	errs := &k.errs
	if k.verifying {
		errs = &k.found
	}
	if len(*errs) < maxErrors {
		*errs = append(*errs, &Error{k.name, at.section, instruction, fmt.Sprintf(format, args...), at.callers.where()})
	}
}

// Version is the lowest PTX version that gives the target and every instruction used.
func (m *Module) Version() Version {
	v := max(lowestVersion, m.target.Version)
	for _, k := range m.kernels {
		v = max(v, k.version())
	}
	return v
}

// Raw counts the instructions that were written as text.
func (m *Module) Raw() int { return m.raws }

// Print verifies every kernel and returns the text of the module. The text depends on the calls made and on nothing else.
func (m *Module) Print() (string, error) {
	if err := m.Verify(); err != nil {
		return "", err
	}
	return m.text(), nil
}

// Verify reports everything that is wrong with the module.
func (m *Module) Verify() error {
	var errs []error
	for _, k := range m.kernels {
		k.verify()
		errs = append(errs, k.errs...)
		errs = append(errs, k.found...)
	}
	return errors.Join(errs...)
}

// each visits every statement in text order.
func (b *block) each(visit func(node)) {
	if b == nil {
		return
	}
	for _, n := range b.nodes {
		visit(n)
		switch n := n.(type) {
		case *branch:
			n.then.each(visit)
			n.otherwise.each(visit)
		case *loop:
			n.body.each(visit)
		}
	}
}
