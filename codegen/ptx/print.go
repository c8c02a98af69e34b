package ptx

import (
	"fmt"
	"strconv"
	"strings"
)

// text prints a module that was verified.
func (m *Module) text() string {
	p := &printer{}
	p.line(".version %s", m.Version())
	p.line(".target %s", m.target.Name)
	p.line(".address_size 64")
	if align := m.dynamicAlign(); align > 0 {
		p.line("")
		p.line(".extern .shared .align %d .b8 %s[];", align, dynamicSymbol)
	}
	for _, k := range m.kernels {
		p.line("")
		p.kernel(k)
	}
	return p.b.String()
}

func (m *Module) dynamicAlign() int {
	align := 0
	for _, k := range m.kernels {
		if k.dyn.align > 0 {
			align = max(align, k.dyn.align, 16)
		}
	}
	return align
}

// printer writes text, names registers in the order in which they appear, and numbers labels.
type printer struct {
	b      strings.Builder
	depth  int
	k      *kernel
	names  []string // of registers, by id
	used   [classCount]int
	labels int
	after  map[*loop]string // labels behind the loops that are open
	jumped map[string]bool  // labels that something jumps to
}

func (p *printer) line(format string, args ...any) {
	if format != "" {
		p.indent()
		fmt.Fprintf(&p.b, format, args...)
	}
	p.b.WriteByte('\n')
}

func (p *printer) indent() {
	for range p.depth {
		p.b.WriteString("    ")
	}
}

func (p *printer) kernel(k *kernel) {
	// The body comes first: it decides how many registers there are.
	body := &printer{depth: p.depth + 1, k: k, names: make([]string, len(k.types)), after: map[*loop]string{}, jumped: map[string]bool{}}
	body.block(k.top)
	if !endsInReturn(k.top) {
		body.line("ret;")
	}
	p.line(".visible .entry %s(", k.name)
	for i := range k.params {
		comma := ","
		if i == len(k.params)-1 {
			comma = ""
		}
		p.line("    .param .u64 %s%s", k.paramSymbol(i), comma)
	}
	p.line(")")
	p.line(".maxntid %d, 1, 1", k.launch.Threads)
	if k.launch.MinCTAs > 0 {
		p.line(".minnctapersm %d", k.launch.MinCTAs)
	}
	p.line("{")
	p.depth++
	for c, n := range body.used {
		if n > 0 {
			p.line(".reg %s %s<%d>;", classes[c].decl, classes[c].prefix, n)
		}
	}
	for _, r := range k.shared {
		if !r.Dynamic {
			p.line(".shared .align %d .b8 %s[%d];", r.Align, r.symbol(), r.Bytes)
		}
	}
	p.b.WriteString(body.b.String())
	p.depth--
	p.line("}")
}

func endsInReturn(b *block) bool {
	if len(b.nodes) == 0 {
		return false
	}
	i, ok := b.nodes[len(b.nodes)-1].(*instruction)
	return ok && i.ends()
}

// ends tells whether nothing runs behind the instruction.
func (i *instruction) ends() bool {
	return i.guard.id == 0 && i.form != nil && (i.form.Name == "ret" || i.form.Name == "exit" || i.form.Name == "trap")
}

// name is the printed name of a register.
func (p *printer) name(r Reg) string {
	n := p.names[r.id]
	if n == "" {
		c := p.k.types[r.id].class()
		n = classes[c].prefix + strconv.Itoa(p.used[c])
		p.used[c]++
		p.names[r.id] = n
	}
	if r.negated {
		return "!" + n
	}
	return n
}

// label is a new one that bears the name.
func (p *printer) label(name string) string {
	p.labels++
	clean := strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
	return fmt.Sprintf("$%s_%s_%d", p.k.name, clean, p.labels)
}

func (p *printer) comments(at place) {
	for _, c := range at.comment {
		p.line("// %s", c)
	}
}

func (p *printer) block(b *block) {
	for _, n := range b.nodes {
		switch n := n.(type) {
		case *mark:
			p.line("")
			p.line("// --- %s", n.section)
		case *instruction:
			p.comments(n.place)
			p.instruction(n)
		case *branch:
			p.comments(n.place)
			p.branch(n)
		case *loop:
			p.comments(n.place)
			p.loop(n)
		case *leave:
			p.comments(n.place)
			p.jumped[p.after[n.loop]] = true
			p.line("%sbra%s %s;", p.guard(n.cond), uniSuffix(n.cond), p.after[n.loop])
		}
	}
}

func uniSuffix(cond Reg) string {
	if cond.id == 0 {
		return ".uni"
	}
	return ""
}

func (p *printer) guard(r Reg) string {
	if r.id == 0 {
		return ""
	}
	return "@" + p.name(r) + " "
}

func (p *printer) instruction(i *instruction) {
	guard := p.guard(i.guard)
	if i.form == nil {
		text := i.raw
		for n := len(i.operands) - 1; n >= 0; n-- {
			text = strings.ReplaceAll(text, fmt.Sprintf("$%d", n), p.name(i.operands[n].regs[0]))
		}
		p.line("%s%s;", guard, text)
		return
	}
	p.indent()
	p.b.WriteString(guard)
	p.b.WriteString(i.form.mnemonic())
	for n := range i.operands {
		if n == 0 {
			p.b.WriteByte(' ')
		} else {
			p.b.WriteString(", ")
		}
		p.operand(&i.operands[n])
	}
	p.b.WriteString(";\n")
}

func (p *printer) operand(o *operand) {
	switch {
	case o.isAddress():
		p.b.WriteByte('[')
		if o.text != "" {
			p.b.WriteString(o.text)
		} else {
			p.b.WriteString(p.name(o.regs[0]))
		}
		if o.offset != 0 { // a negative offset is printed "+-8", the only way ptxas reads it
			p.b.WriteByte('+')
			p.b.WriteString(strconv.Itoa(o.offset))
		}
		p.b.WriteByte(']')
	case len(o.regs) == 0:
		p.b.WriteString(o.text)
	case o.second.id != 0:
		p.b.WriteString(p.name(o.regs[0]))
		p.b.WriteByte('|')
		p.b.WriteString(p.name(o.second))
	case o.spec.count == 0:
		p.b.WriteString(p.name(o.regs[0]))
	default:
		for n, r := range o.regs {
			if n == 0 {
				p.b.WriteByte('{')
			} else {
				p.b.WriteString(", ")
			}
			p.b.WriteString(p.name(r))
		}
		p.b.WriteByte('}')
	}
}

func (p *printer) branch(n *branch) {
	label := p.label(n.name)
	end := label + "_end"
	otherwise := end
	if n.otherwise != nil {
		otherwise = label + "_else"
	}
	p.line("%sbra %s;", p.guard(n.cond.Not()), otherwise)
	p.nested(n.then)
	if n.otherwise != nil {
		p.line("bra.uni %s;", end)
		p.labelLine(otherwise)
		p.nested(n.otherwise)
	}
	p.labelLine(end)
}

func (p *printer) nested(b *block) {
	p.depth++
	p.block(b)
	p.depth--
}

// labelLine puts a label one step to the left of what follows.
func (p *printer) labelLine(label string) {
	p.depth--
	p.line("%s:", label)
	p.depth++
}

func (p *printer) loop(n *loop) {
	start := p.label(n.name)
	end := start + "_end"
	p.after[n] = end
	if n.skip.id != 0 {
		p.jumped[end] = true
		p.line("%sbra %s;", p.guard(n.skip), end)
	}
	p.labelLine(start)
	if n.noUnroll {
		p.line(".pragma \"nounroll\";")
	}
	p.nested(n.body)
	if n.again.id != 0 {
		p.line("%sbra %s;", p.guard(n.again), start)
	} else {
		p.line("bra.uni %s;", start)
	}
	if p.jumped[end] {
		p.labelLine(end)
	}
}
