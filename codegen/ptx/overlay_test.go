package ptx

import (
	"strings"
	"testing"
)

// TestOverlay wants overlays to begin at the same place, behind what was declared before, and what they need to be the most of all.
func TestOverlay(t *testing.T) {
	m := NewModule(SM80)
	b := m.Kernel("k", Launch{Threads: 32})
	out := b.Pointer("out", 16)
	b.Dynamic("before", 100, 16)
	var offsets []int
	for i, bytes := range []int{4096, 48, 512} {
		b.Overlay(func() {
			r := b.Dynamic([]string{"a", "b", "c"}[i], bytes, 16)
			offsets = append(offsets, r.Offset)
			b.CopyAsync(b.Addr(r), out, 16)
			b.CopyCommit()
			b.CopyWait(0)
			b.St(out, b.Ld(F32, b.Addr(r)))
		})
	}
	last := b.Dynamic("behind", 16, 16)
	if offsets[0] != 112 || offsets[1] != 112 || offsets[2] != 112 || last.Offset != 112 {
		t.Errorf("overlays at %v, and %d behind them", offsets, last.Offset)
	}
	if n := b.DynamicBytes(); n != 112+4096 {
		t.Errorf("%d bytes", n)
	}
	kernels, err := m.Kernels()
	if err != nil {
		t.Fatal(err)
	}
	if n := kernels[0].DynamicShared.Fixed; n != 112+4096 {
		t.Errorf("the kernel asks for %d bytes", n)
	}
}

// TestOverlayEndsItsCopies wants a wait of one overlay not to stand for the copies of the next, which may have the same place.
func TestOverlayEndsItsCopies(t *testing.T) {
	for _, c := range []struct {
		name, want string
		second     func(b *Builder, out, at Reg)
	}{
		{"no wait", "reads shared region b, which cp.async writes, with no wait before it", func(b *Builder, out, at Reg) {
			b.CopyCommit()
			b.St(out, b.Ld(F32, at))
			b.CopyWait(0)
		}},
		{"no group", "end of an overlay: cp.async copies are in no group", func(*Builder, Reg, Reg) {}},
	} {
		m := NewModule(SM80)
		b := m.Kernel("k", Launch{Threads: 32})
		out := b.Pointer("out", 16)
		b.Dynamic("before", 16, 16)
		b.Overlay(func() {
			b.Dynamic("a", 32, 16)
			b.CopyWait(0)
		})
		b.Overlay(func() {
			b.Dynamic("shift", 64, 16)
			at := b.Addr(b.Dynamic("b", 64, 16))
			b.CopyAsync(at, out, 16)
			c.second(b, out, at)
		})
		if err := m.Verify(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestTooLarge wants a kernel that does not fit its target to say so before it is verified, and a module without it to be right.
func TestTooLarge(t *testing.T) {
	m := NewModule(SM89)
	small := m.Kernel("small", Launch{Threads: 32})
	small.Sync()
	if problem := small.TooLarge(); problem != "" {
		t.Error(problem)
	}
	wide := m.Kernel("wide", Launch{Threads: 32})
	wide.Overlay(func() { wide.Dynamic("large", 100<<10, 16) })
	hungry := m.Kernel("hungry", Launch{Threads: 1024})
	out := hungry.Pointer("out", 4)
	var values []Reg
	for i := range 80 {
		values = append(values, hungry.Ld(F32, out.At(4*i)))
	}
	for _, v := range values {
		hungry.St(out, v)
	}
	for _, c := range []struct {
		b    *Builder
		want string
	}{{wide, "a CTA of sm_89 has at most 101376"}, {hungry, "a thread of 1024 has at most 64"}} {
		if problem := c.b.TooLarge(); !strings.Contains(problem, c.want) {
			t.Errorf("%q; want %q", problem, c.want)
		}
		if m.Verify() == nil {
			t.Errorf("%s is right", c.want)
		}
		c.b.Drop()
	}
	if err := m.Verify(); err != nil {
		t.Error(err)
	}
}
