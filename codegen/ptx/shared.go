package ptx

import "fmt"

// Region is a named part of shared memory.
type Region struct {
	Name    string
	Bytes   int
	Align   int
	Dynamic bool
	Offset  int // in dynamic shared memory
	kernel  *kernel
	index   int
}

// dynamicShared is the shared memory whose size is given at launch.
type dynamicShared struct {
	bytes, align int
	most         int // that overlays have reached
	perUnit      int
	unit         string
}

// dynamicSymbol is where dynamic shared memory starts; all kernels of a module share the name.
const dynamicSymbol = "dynamic_shared"

// Static declares a region whose size is part of the kernel. All static regions together are bounded by 48 KB.
func (b *Builder) Static(name string, bytes, align int) *Region {
	return b.region(&Region{Name: name, Bytes: bytes, Align: align})
}

// Dynamic declares a region of dynamic shared memory, behind those declared before. 128-byte swizzles want align 1024.
func (b *Builder) Dynamic(name string, bytes, align int) *Region {
	r := b.region(&Region{Name: name, Bytes: bytes, Align: align, Dynamic: true})
	if b.dyn.unit != "" {
		b.fail("shared region %s comes behind one of open size", name)
	}
	r.Offset = (b.dyn.bytes + align - 1) / align * align
	b.dyn.bytes = r.Offset + bytes
	b.dyn.align = max(b.dyn.align, align)
	return r
}

// DynamicPer declares the last region of dynamic shared memory: perUnit bytes for each unit (positions, experts), whose
// number is known at launch.
func (b *Builder) DynamicPer(name string, perUnit int, unit string, align int) *Region {
	r := b.Dynamic(name, 0, align)
	b.dyn.perUnit, b.dyn.unit = perUnit, unit
	return r
}

// Overlay runs body, whose dynamic regions lie behind those declared before it, where those of other overlays do. Everything that body begins with its
// regions is over when it ends; a barrier between overlays is the caller's affair.
func (b *Builder) Overlay(body func()) {
	start := b.dyn.bytes
	body()
	b.dyn.most = max(b.dyn.most, b.dyn.bytes)
	b.dyn.bytes = start
	b.append(&settle{place: b.place()})
}

// DynamicBytes is what the dynamic regions declared so far take.
func (b *Builder) DynamicBytes() int { return b.dyn.size() }

// size covers all overlays.
func (d *dynamicShared) size() int { return max(d.bytes, d.most) }

func (b *Builder) region(r *Region) *Region {
	if !nameRule.MatchString(r.Name) || r.Name == dynamicSymbol {
		b.fail("shared region name %q is not an identifier or is taken", r.Name)
	}
	if r.Bytes < 0 || r.Align <= 0 || r.Align&(r.Align-1) != 0 {
		b.fail("shared region %s: %d bytes aligned to %d", r.Name, r.Bytes, r.Align)
		r.Align = 1
	}
	for _, other := range b.shared {
		if other.Name == r.Name {
			b.fail("two shared regions called %s", r.Name)
		}
	}
	r.kernel, r.index = b.kernel, len(b.shared)+1
	b.shared = append(b.shared, r)
	return r
}

// Addr is the address of a shared region.
func (b *Builder) Addr(r *Region) Reg {
	d := b.result(Shared)
	if r == nil || r.kernel != b.kernel {
		b.fail("the shared region belongs to another kernel")
		return d
	}
	b.emit("mov.u32/symbol", d, special(r.symbol()))
	return d
}

func (r *Region) symbol() string {
	switch {
	case !r.Dynamic:
		return r.kernel.name + "_" + r.Name
	case r.Offset == 0:
		return dynamicSymbol
	}
	return fmt.Sprintf("%s+%d", dynamicSymbol, r.Offset)
}

// staticBytes is what the static regions take when laid out in order.
func (k *kernel) staticBytes() int {
	n := 0
	for _, r := range k.shared {
		if !r.Dynamic {
			n = (n+r.Align-1)/r.Align*r.Align + r.Bytes
		}
	}
	return n
}
