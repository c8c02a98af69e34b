package ptx

// fact is what is known about the value of a register wherever it is defined.
type fact struct {
	level   Uniformity
	number  congruence
	region  int // shared region that an address points into, by index; 0 is unknown
	written bool
}

// congruence says that a value is residue modulo modulus, a power of two. Modulus 0 is a value not yet seen.
type congruence struct{ modulus, residue int64 }

// exactModulus stands for constants: alignments beyond it do not matter.
const exactModulus = 1 << 20

func exactly(v int64) congruence { return congruence{exactModulus, v & (exactModulus - 1)} }

var anyNumber = congruence{modulus: 1}

func (c congruence) reduce(modulus int64) congruence {
	return congruence{modulus, c.residue & (modulus - 1)}
}

// meet is what holds for both.
func (c congruence) meet(d congruence) congruence {
	switch {
	case c.modulus == 0:
		return d
	case d.modulus == 0:
		return c
	}
	m := min(c.modulus, d.modulus)
	for m > 1 && (c.residue-d.residue)&(m-1) != 0 {
		m /= 2
	}
	return c.reduce(m)
}

func (c congruence) add(d congruence) congruence {
	if c.modulus == 0 || d.modulus == 0 {
		return congruence{}
	}
	m := min(c.modulus, d.modulus)
	return congruence{c.modulus, c.residue + d.residue}.reduce(m)
}

func (c congruence) negate() congruence {
	if c.modulus == 0 {
		return c
	}
	return congruence{c.modulus, -c.residue}.reduce(c.modulus)
}

// times multiplies (m1*i + r1) * (m2*j + r2): the cross terms bound the modulus.
func (c congruence) times(d congruence) congruence {
	if c.modulus == 0 || d.modulus == 0 {
		return congruence{}
	}
	m := min(c.modulus*d.modulus, c.modulus*lowestBit(d.residue, d.modulus), d.modulus*lowestBit(c.residue, c.modulus), exactModulus)
	return congruence{m, c.residue * d.residue}.reduce(m)
}

// lowestBit is the largest power of two that divides the residue; of 0 the modulus.
func lowestBit(residue, modulus int64) int64 {
	if residue == 0 {
		return modulus
	}
	return residue & -residue
}

// analysis finds the facts of a kernel: the least solution, by repeated walks until nothing changes.
type analysis struct {
	k       *kernel
	facts   []fact
	assumed map[int32]Uniformity
	loops   map[*loop]Uniformity // how the threads part ways at the loop's exits
	exited  Uniformity           // how those parted that have ended
	rules   map[*Form]formRule   // of the forms met so far
	numbers []congruence         // of operands, while an instruction is looked at
	changed bool
	visit   func(i *instruction, control Uniformity) // called in the last walk
}

func (k *kernel) analyze() *analysis {
	a := &analysis{k: k, facts: make([]fact, len(k.types)), assumed: map[int32]Uniformity{}, loops: map[*loop]Uniformity{}, rules: map[*Form]formRule{}}
	k.top.each(func(n node) {
		if n, ok := n.(*assume); ok {
			a.assumed[n.reg.id] = n.level
		}
	})
	for a.changed = true; a.changed; {
		a.changed = false
		a.block(k.top, CTAUniform)
	}
	return a
}

func (a *analysis) level(r Reg) Uniformity {
	if r.id == 0 {
		return CTAUniform
	}
	return a.facts[r.id].level
}

func (a *analysis) block(b *block, control Uniformity) {
	if b == nil {
		return
	}
	for _, n := range b.nodes {
		here := max(control, a.exited)
		switch n := n.(type) {
		case *instruction:
			a.instruction(n, here)
		case *branch:
			inner := max(here, a.level(n.cond))
			a.block(n.then, inner)
			a.block(n.otherwise, inner)
		case *loop:
			inner := max(here, a.level(n.skip), a.loops[n])
			a.block(n.body, inner)
			a.part(n, a.level(n.again))
		case *leave:
			a.part(n.loop, max(here, a.level(n.cond)))
		}
		control = max(control, a.leaving(n, control))
	}
}

// leaving is how the threads have parted behind a break: those that stay in the loop run the rest of the block.
func (a *analysis) leaving(n node, control Uniformity) Uniformity {
	if l, ok := n.(*leave); ok {
		return max(control, a.level(l.cond))
	}
	return control
}

func (a *analysis) part(l *loop, level Uniformity) {
	if level > a.loops[l] {
		a.loops[l] = level
		a.changed = true
	}
}

func (a *analysis) instruction(i *instruction, control Uniformity) {
	control = max(control, a.level(i.guard))
	var rule formRule
	if i.form != nil {
		rule = a.rule(i.form)
	}
	if rule.ends && control > a.exited {
		a.exited, a.changed = control, true
	}
	if a.visit != nil {
		a.visit(i, control)
	}
	f := fact{level: Divergent, number: anyNumber}
	if i.form != nil {
		f.level = max(a.resultLevel(i, rule), control)
		f.number, f.region = a.number(i, rule), a.region(i, rule)
	}
	for n := range i.operands {
		o := &i.operands[n]
		if o.spec.role == read || o.isAddress() {
			continue
		}
		for _, r := range o.regs {
			a.define(r, f)
		}
		if o.second.id != 0 {
			a.define(o.second, fact{level: f.level, number: anyNumber})
		}
	}
}

// define joins a definition into what is known of a register.
func (a *analysis) define(r Reg, f fact) {
	old := a.facts[r.id]
	joined := fact{max(old.level, f.level), old.number.meet(f.number), f.region, true}
	if old.written && old.region != f.region {
		joined.region = 0
	}
	if level, ok := a.assumed[r.id]; ok {
		joined.level = level
	}
	if joined != old {
		a.facts[r.id] = joined
		a.changed = true
	}
}

// operandsLevel joins the levels of everything that the instruction reads.
func (a *analysis) operandsLevel(i *instruction) Uniformity {
	level := CTAUniform
	for n := range i.operands {
		o := &i.operands[n]
		if o.spec.role != write || o.isAddress() {
			for _, r := range o.regs {
				level = max(level, a.level(r))
			}
		}
	}
	return level
}

// levelRules says how far results are uniform, by the longest prefix of the form's name that matches; what no rule
// names is as uniform as its operands.
var levelRules = []struct {
	prefix string
	level  func(operands Uniformity) Uniformity
}{
	{"ld.volatile", atLeastWarp}, {"ld.relaxed", atLeastWarp}, {"ld.acquire", atLeastWarp},
	{"atom.", divergent}, {"mbarrier.", divergent}, {"elect.", divergent}, {"activemask", divergent}, {"match.any", divergent},
	{"ldmatrix", divergent}, {"mma.", divergent}, {"wgmma.", divergent},
	{"vote.", atMostWarp}, {"redux.", atMostWarp}, {"match.all", atMostWarp},
	{"bar.red", func(Uniformity) Uniformity { return CTAUniform }},
}

func atLeastWarp(u Uniformity) Uniformity { return max(u, WarpUniform) }
func atMostWarp(u Uniformity) Uniformity  { return min(u, WarpUniform) }
func divergent(Uniformity) Uniformity     { return Divergent }

// specialLevels are the special registers that differ within a CTA; the others do not.
var specialLevels = map[special]Uniformity{
	"%tid.x": Divergent, "%laneid": Divergent, "%lanemask_lt": Divergent, "%clock64": Divergent, "%globaltimer": Divergent,
}

func (a *analysis) resultLevel(i *instruction, rule formRule) Uniformity {
	operands := a.operandsLevel(i)
	switch {
	case rule.special:
		return specialLevels[special(i.operands[1].text)]
	case rule.lane:
		// Every lane reads the same one if the lane's number is uniform.
		if lane := i.operands[2]; len(lane.regs) == 0 || a.level(lane.regs[0]) <= WarpUniform {
			return min(operands, WarpUniform)
		}
	}
	return rule.level(operands)
}
