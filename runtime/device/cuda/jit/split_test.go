package jit_test

import (
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/cuda/jit"
	"llmc/runtime/device/emu"
)

// TestSplitOfPlans cuts the code of every GPU target: each entry, as it was, is in one part, and parts are modules of about the same length.
func TestSplitOfPlans(t *testing.T) {
	targets := []string{"sm80", "sm89", "sm90"}
	plan := plantest.Build(t, plantest.Demo, compiler.Options{Quant: "fp8", Archs: targets})
	for _, target := range targets {
		data, err := plan.Section(engine.KindPTX, target)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		header, _, _ := strings.Cut(text, ".visible")
		parts := jit.Split(text, 16)
		if len(parts) != 16 {
			t.Fatalf("%s: %d parts", target, len(parts))
		}
		seen, longest := []string{}, 0
		for _, p := range parts {
			if !strings.HasPrefix(p.Text, header) {
				t.Errorf("%s: a part begins %.80q", target, p.Text)
			}
			m, err := emu.Load(p.Text)
			if err != nil {
				t.Fatalf("%s: %v", target, err)
			}
			for _, name := range p.Entries {
				if _, err := m.Kernel(name); err != nil {
					t.Errorf("%s: %v", target, err)
				}
			}
			for _, e := range strings.SplitAfter(p.Text[len(header):], "\n}\n") {
				if !strings.Contains(text, e) {
					t.Errorf("%s: not in the module: %.80q", target, e)
				}
			}
			seen, longest = append(seen, p.Entries...), max(longest, len(p.Text))
		}
		slices.Sort(seen)
		if n := strings.Count(text, ".visible .entry"); n != len(slices.Compact(seen)) || longest > len(text)/4 {
			t.Errorf("%s: %d entries, %d of them in parts; the longest of 16 has %d of %d bytes", target, n, len(seen), longest, len(text))
		}
	}
}

// TestWhatStaysWhole does not cut what entries may share, nor what is not written as it should be.
func TestWhatStaysWhole(t *testing.T) {
	const header = ".version 7.8\n.target sm_80\n.address_size 64\n"
	entry := func(name string) string {
		return "\n.visible .entry " + name + "(\n    .param .u64 a\n)\n.maxntid 32, 1, 1\n{\n    ret;\n}\n"
	}
	for name, text := range map[string]string{
		"one entry":            header + entry("a"),
		"a variable":           header + ".global .u32 n;\n" + entry("a") + entry("b"),
		"a variable behind":    header + entry("a") + ".global .u32 n;\n" + entry("b"),
		"a function":           header + ".func f()\n{\n    ret;\n}\n" + entry("a") + entry("b"),
		"an alias inside":      header + strings.Replace(entry("a"), "    ret", ".alias x, y;\n    ret", 1) + entry("b"),
		"a comment of C":       header + "// /*\n" + entry("a") + entry("b"),
		"the same entry again": header + entry("a") + entry("a"),
		"no end":               header + entry("a") + strings.TrimSuffix(entry("b"), "}\n"),
		"an entry inside":      header + strings.Replace(entry("a"), "    ret;\n}\n", entry("b"), 1) + entry("c"),
		"nothing":              "",
	} {
		if parts := jit.Split(text, 4); len(parts) != 1 || parts[0].Text != text || parts[0].Entries != nil {
			t.Errorf("%s: %d parts", name, len(parts))
		}
	}
	two := header + ".extern .shared .align 16 .b8 dynamic[];\n" + entry("a") + entry("b")
	if parts := jit.Split(two, 4); len(parts) != 2 {
		t.Errorf("two entries are %d parts", len(parts))
	}
	if parts := jit.Split(two, 1); len(parts) != 1 || parts[0].Text != two {
		t.Errorf("one part is not the whole: %v", parts)
	}
}
