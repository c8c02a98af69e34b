package ptx

import (
	"fmt"
	"slices"
	"strings"
)

// verify runs every check on a kernel, unless that was done since it last changed.
func (k *kernel) verify() {
	if k.verified {
		return
	}
	k.verified, k.found = true, nil
	if len(k.errs) > 0 {
		return // what follows would report consequences
	}
	k.verifying = true
	defer func() { k.verifying = false }()
	k.checkShared()
	a := k.analyze()
	a.visit = func(i *instruction, control Uniformity) {
		k.checkControl(i, control)
		k.checkAlignment(a, i)
		k.checkBarrier(i)
	}
	a.block(k.top, CTAUniform)
	k.checkPaths(a)
	k.checkRegisters()
}

func (k *kernel) checkShared() {
	t := k.module.target
	if static := k.staticBytes(); static > t.StaticShared {
		k.report(place{}, "", "static shared memory of %d bytes, the target allows %d: use Dynamic", static, t.StaticShared)
	}
	if problem := k.tooMuchShared(); problem != "" {
		k.report(place{}, "", "%s", problem)
	}
}

func (k *kernel) tooMuchShared() string {
	if n, t := k.staticBytes()+k.dyn.size(), k.module.target; n > t.OptInShared {
		return fmt.Sprintf("shared memory of %d bytes, a CTA of %s has at most %d", n, t.Name, t.OptInShared)
	}
	return ""
}

func (k *kernel) tooManyRegisters() (problem, section string) {
	limit := k.registerLimit()
	n, section := k.registers()
	if n > limit {
		problem = fmt.Sprintf("about %d registers are live, a thread of %d has at most %d", n, k.launch.Threads, limit)
	}
	return problem, section
}

// TooLarge says what the kernel as it is now takes more of than the target has, "" if it fits. A kernel that does not is refused when the module is
// verified: whoever may do without it asks first, and drops it.
func (b *Builder) TooLarge() string {
	if problem := b.tooMuchShared(); problem != "" {
		return problem
	}
	problem, _ := b.tooManyRegisters()
	return problem
}

// collectives are the instructions that a group of threads must execute together, by prefix of the form's name; the
// first that matches counts.
var collectives = []struct {
	prefix string
	level  Uniformity
}{
	{"bar.sync/count", WarpUniform}, {"bar.arrive", WarpUniform}, {"bar.warp", WarpUniform}, {"bar.", CTAUniform},
	{"barrier.cluster", CTAUniform},
	{"shfl.", WarpUniform}, {"vote.", WarpUniform}, {"match.", WarpUniform}, {"redux.", WarpUniform}, {"elect.", WarpUniform},
	{"ldmatrix.", WarpUniform}, {"stmatrix.", WarpUniform}, {"mma.", WarpUniform},
	{"wgmma.", WarpgroupUniform}, {"setmaxnreg.", WarpgroupUniform},
}

// checkControl refuses collectives where threads of their group may have parted.
func (k *kernel) checkControl(i *instruction, control Uniformity) {
	if i.form == nil {
		return
	}
	for _, c := range collectives {
		if !strings.HasPrefix(i.form.Name, c.prefix) {
			continue
		}
		if control > c.level {
			k.report(i.place, i.describe(), "needs control flow that is %s; here it is %s", c.level, control)
		}
		return
	}
}

// checkAlignment refuses addresses that are known to be no multiple of the access.
func (k *kernel) checkAlignment(a *analysis, i *instruction) {
	if i.form == nil {
		return
	}
	for n := range i.operands {
		o := &i.operands[n]
		if !o.isAddress() || len(o.regs) == 0 {
			continue
		}
		size := i.accessBytes(o)
		if size <= 1 {
			continue
		}
		number := a.facts[o.regs[0].id].number.add(exactly(int64(o.offset)))
		m := min(number.modulus, int64(size))
		if m > 1 && number.residue&(m-1) != 0 {
			k.report(i.place, i.describe(), "address %d modulo %d: the access wants a multiple of %d", number.residue&(m-1), m, size)
		}
	}
}

// accessSizes are the alignments that instructions other than plain loads and stores want.
var accessSizes = []struct {
	prefix string
	bytes  int
}{
	{"cp.async.bulk", 16}, {"ldmatrix", 16}, {"stmatrix", 16}, {"mbarrier", 8}, {"cp.async.mbarrier", 8}, {"prefetch", 1},
}

func (i *instruction) accessBytes(address *operand) int {
	name := i.form.Name
	if strings.HasPrefix(name, "cp.async.bulk.shared") && address == &i.operands[3] {
		return 8
	}
	for _, a := range accessSizes {
		if strings.HasPrefix(name, a.prefix) {
			return a.bytes
		}
	}
	if strings.HasPrefix(name, "cp.async.c") {
		return int(i.operands[2].value)
	}
	parts := strings.Split(i.form.mnemonic(), ".")
	bytes := typesByName[parts[len(parts)-1]].Bytes()
	for _, o := range i.operands {
		if o.spec.count > 0 {
			return bytes * o.spec.count
		}
	}
	return bytes
}

// checkBarrier refuses numbers of barriers and of threads that do not exist.
func (k *kernel) checkBarrier(i *instruction) {
	if i.form == nil || !strings.HasPrefix(i.form.Name, "bar.sync") && i.form.Name != "bar.arrive" {
		return
	}
	if id := &i.operands[0]; len(id.regs) == 0 && (id.value < 0 || id.value > 15) {
		k.report(i.place, i.describe(), "barrier %d: there are 0 to 15", id.value)
	}
	if len(i.operands) < 2 || len(i.operands[1].regs) != 0 {
		return
	}
	if n := i.operands[1].value; n <= 0 || n%32 != 0 || n > int64(k.launch.Threads) {
		k.report(i.place, i.describe(), "barrier of %d threads: wants a multiple of 32 up to the %d of the CTA", n, k.launch.Threads)
	}
}

// checkRegisters compares the estimate with what a thread can have, and the CTA with what warpgroups need.
func (k *kernel) checkRegisters() {
	if problem, section := k.tooManyRegisters(); problem != "" {
		k.report(place{section: section}, "", "%s", problem)
	}
	for _, group := range [...]struct {
		prefix string
		size   int
	}{{"mma.", 32}, {"wgmma.", 32}, {"setmaxnreg.", 128}} {
		if k.uses(group.prefix) && k.launch.Threads%group.size != 0 {
			k.report(place{}, "", "%s* in a CTA of %d threads: wants a multiple of %d", group.prefix, k.launch.Threads, group.size)
		}
	}
	if k.uses("wgmma.") && k.launch.Threads < 128 {
		k.report(place{}, "", "wgmma.* in a CTA of %d threads: wants a warpgroup of 128", k.launch.Threads)
	}
	if k.uses("setmaxnreg.") && k.launch.MinCTAs == 0 {
		k.report(place{}, "", "setmaxnreg without MinCTAs: the assembler ignores it when it does not know the registers at entry")
	}
}

func (k *kernel) uses(prefix string) bool {
	found := false
	k.top.each(func(n node) {
		i, ok := n.(*instruction)
		found = found || ok && i.form != nil && strings.HasPrefix(i.form.Name, prefix)
	})
	return found
}

// registerLimit is what one thread can have: 255, or its share of the multiprocessor, in steps of 8; setmaxnreg moves
// registers between warps, so its largest number counts where it is used.
func (k *kernel) registerLimit() int {
	share := k.module.target.Registers / (k.launch.Threads * max(1, k.launch.MinCTAs))
	limits := []int{min(255, share/8*8)}
	k.top.each(func(n node) {
		if i, ok := n.(*instruction); ok && i.form != nil && strings.HasPrefix(i.form.Name, "setmaxnreg.inc") {
			limits = append(limits, min(255, int(i.operands[0].value)))
		}
	})
	return slices.Max(limits)
}
