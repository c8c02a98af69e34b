package ptx

import (
	"fmt"
	"strings"
)

// paths walks every way through the kernel and checks what depends on order: definition before use, wgmma's fences and
// waits, groups of asynchronous copies.
type paths struct {
	k      *kernel
	a      *analysis
	breaks map[*loop]*state
	said   map[string]bool
}

func (k *kernel) checkPaths(a *analysis) {
	p := &paths{k: k, a: a, breaks: map[*loop]*state{}, said: map[string]bool{}}
	s := newState(k)
	p.block(k.top, s)
	if !s.dead {
		p.end(s, place{section: k.section}, "end of the kernel")
	}
}

// problem reports once: loops are walked twice.
func (p *paths) problem(at place, instruction, format string, args ...any) {
	key := fmt.Sprint(at.section, instruction, fmt.Sprintf(format, args...))
	if !p.said[key] {
		p.said[key] = true
		p.k.report(at, instruction, format, args...)
	}
}

func (p *paths) block(b *block, s *state) {
	if b == nil {
		return
	}
	for _, n := range b.nodes {
		switch n := n.(type) {
		case *instruction:
			p.instruction(n, s)
		case *branch:
			p.condition(n.cond, n.place, n.name, s)
			other := s.clone()
			p.block(n.then, s)
			p.block(n.otherwise, other)
			s.join(other)
		case *loop:
			p.loop(n, s)
		case *leave:
			p.condition(n.cond, n.place, "break", s)
			p.breaks[n.loop].join(s)
			if n.cond.id == 0 {
				s.dead = true
			}
		case *settle:
			p.settle(n, s)
		}
	}
}

// settle ends an overlay: its regions mean nothing any more, so that none of its copies may be left.
func (p *paths) settle(n *settle, s *state) {
	if s.dead {
		return
	}
	p.end(s, n.place, "end of an overlay")
	s.copied = newBitset(len(p.k.shared) + 1)
	s.waited, s.signalled = false, false
}

// loop walks the body a second time with what the first iteration leaves behind.
func (p *paths) loop(n *loop, s *state) {
	after := newState(p.k)
	after.dead = true
	if n.skip.id != 0 {
		p.condition(n.skip, n.place, n.name, s)
		after.join(s)
	}
	p.breaks[n] = after
	first := s.clone()
	for range 2 {
		*s = *first.clone()
		p.block(n.body, s)
		p.condition(n.again, n.place, n.name, s)
		first.join(s)
	}
	if n.again.id != 0 {
		after.join(s)
	}
	*s = *after
}

func (p *paths) condition(r Reg, at place, name string, s *state) {
	if r.id != 0 && !s.dead && !s.defined.has(r.id) {
		p.problem(at, name, "the condition is used before it is defined")
	}
}

func (p *paths) instruction(i *instruction, s *state) {
	if s.dead {
		return
	}
	p.condition(i.guard, i.place, i.describe(), s)
	p.wgmma(i, s)
	for n := range i.operands {
		o := &i.operands[n]
		if o.spec.role != write || o.isAddress() {
			for _, r := range o.regs {
				p.use(i, n, r, s)
			}
		}
	}
	p.copies(i, s)
	for n := range i.operands {
		o := &i.operands[n]
		if o.spec.role == read || o.isAddress() {
			continue
		}
		for _, r := range o.regs {
			p.define(i, r, s)
		}
		if o.second.id != 0 {
			p.define(i, o.second, s)
		}
	}
	if i.form == nil {
		return
	}
	if i.form.Name == "ret" || i.form.Name == "exit" {
		p.end(s, i.place, i.describe())
	}
	s.dead = i.ends()
}

func (p *paths) use(i *instruction, n int, r Reg, s *state) {
	if s.defined.has(r.id) {
		return
	}
	guard, ok := s.guarded[r.id]
	switch {
	case ok && i.guard == guard:
		return
	case ok:
		p.problem(i.place, i.describe(), "operand %d was defined under a guard only and is used without it", n+1)
	case strings.HasPrefix(i.describe(), "wgmma") && n == 0:
		p.problem(i.place, i.describe(), "accumulators are not defined: zero them before the loop or let the first wgmma replace them")
	default:
		p.problem(i.place, i.describe(), "operand %d (%s) is used before it is defined", n+1, r.typ)
	}
}

func (p *paths) define(i *instruction, r Reg, s *state) {
	if r.typ == Pred {
		for v, guard := range s.guarded {
			if guard.id == r.id {
				delete(s.guarded, v)
			}
		}
	}
	switch {
	case s.defined.has(r.id):
	case i.guard.id == 0:
		s.defined.add(r.id)
		delete(s.guarded, r.id)
	default:
		guard, ok := s.guarded[r.id]
		if ok && guard == i.guard.Not() {
			// Written under the guard and under its opposite.
			s.defined.add(r.id)
			delete(s.guarded, r.id)
			return
		}
		s.guarded[r.id] = i.guard
	}
}

// describe names the instruction for messages.
func (i *instruction) describe() string {
	if i.form == nil {
		return i.raw
	}
	return i.form.mnemonic()
}

// wgmma checks the asynchronous matrix instructions: nobody may touch what a group under way writes, nor write what it
// reads, and registers written by others need a fence (section 9.7.15.1).
func (p *paths) wgmma(i *instruction, s *state) {
	name := i.describe()
	switch {
	case strings.HasPrefix(name, "wgmma.mma_async"):
		p.start(i, s)
		return
	case strings.HasPrefix(name, "wgmma.fence"):
		s.fenced = true
		clear(s.unfenced)
	case strings.HasPrefix(name, "wgmma.commit_group"):
		s.commit()
	case strings.HasPrefix(name, "wgmma.wait_group"):
		s.wait(int(i.operands[0].value))
	}
	for n := range i.operands {
		o := &i.operands[n]
		for _, r := range o.regs {
			writes := o.spec.role != read && !o.isAddress()
			if _, ok := s.writing[r.id]; ok {
				p.problem(i.place, name, "operand %d is an accumulator of wgmma that is still under way: WgmmaWait first", n+1)
			} else if _, ok := s.reading[r.id]; ok && writes {
				p.problem(i.place, name, "operand %d is read by wgmma that is still under way: WgmmaWait first", n+1)
			}
			if writes {
				s.unfenced.add(r.id)
			}
		}
	}
}

// start begins a wgmma: accumulators may be under way in the same shape, A in registers is read.
func (p *paths) start(i *instruction, s *state) {
	if !s.fenced {
		p.problem(i.place, i.describe(), "no WgmmaFence before the first wgmma")
	}
	for n, touched := range [...]map[int32]int{s.writing, s.reading} {
		o := &i.operands[n]
		if n == 1 && o.spec.count == 0 {
			continue // a descriptor
		}
		for _, r := range o.regs {
			if s.unfenced.has(r.id) && s.defined.has(r.id) {
				p.problem(i.place, i.describe(), "operand %d was written since the last WgmmaFence", n+1)
			}
			touched[r.id] = -1
		}
	}
}

// copies checks cp.async: what it writes may be read only behind a wait.
func (p *paths) copies(i *instruction, s *state) {
	name := i.describe()
	switch {
	case strings.HasPrefix(name, "cp.async.commit"):
		s.uncommitted = false
	case strings.HasPrefix(name, "mbarrier.t"):
		s.signalled = true
	case strings.HasPrefix(name, "cp.async.wait"):
		s.waited = true
		if name == "cp.async.wait_all" {
			s.uncommitted = false
		}
	case strings.HasPrefix(name, "cp.async.mbarrier"):
		s.uncommitted = false
	case strings.HasPrefix(name, "cp.async.c"):
		s.uncommitted = true
		if region := p.addressRegion(&i.operands[0]); region != 0 {
			s.copied.add(int32(region))
		}
	case strings.HasPrefix(name, "ldmatrix"), strings.HasPrefix(name, "ld.shared"):
		region := p.addressRegion(&i.operands[1])
		if region != 0 && s.copied.has(int32(region)) && !s.waited && !s.signalled {
			p.problem(i.place, name, "reads shared region %s, which cp.async writes, with no wait before it", p.k.shared[region-1].Name)
		}
	}
}

func (p *paths) addressRegion(o *operand) int {
	if len(o.regs) == 0 {
		return 0
	}
	return p.a.facts[o.regs[0].id].region
}

// end checks what must not be left when a thread ends.
func (p *paths) end(s *state, at place, name string) {
	if s.uncommitted {
		p.problem(at, name, "cp.async copies are in no group: CopyCommit or CopyWaitAll is missing")
	}
	if len(s.writing) > 0 {
		p.problem(at, name, "wgmma is still under way: WgmmaWait is missing")
	}
}
