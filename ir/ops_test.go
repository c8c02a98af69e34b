package ir

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"llmc/internal/golden"
)

// The reference page of the op table; the test that writes it keeps it from drifting.
func TestOpsPage(t *testing.T) {
	golden.File(t, filepath.Join(golden.Root(t), "docs", "ops.md"), []byte(opsPage()))
}

func opsPage() string {
	var b strings.Builder
	b.WriteString("# Operations\n\n")
	b.WriteString("Generated from the op table (`ir/optable.go`) by `UPDATE=1 go test ./ir`; do not edit.\n\n")
	b.WriteString("M is the number of rows of an activation. What an op means is what `ir/interp` computes: values are f32, sums f64.\n\n")
	b.WriteString("| operand | accepts |\n|---|---|\n")
	for _, r := range roleRows {
		fmt.Fprintf(&b, "| %s | %s |\n", r.name, r.doc)
	}
	for _, info := range Ops {
		fmt.Fprintf(&b, "\n## %s\n\n`%s`\n\n%s\n", info.Name, signature(info), info.Doc)
		if flags := flagNames(info); flags != "" {
			fmt.Fprintf(&b, "\nFlags: %s.\n", flags)
		}
		if len(info.Attrs) == 0 {
			continue
		}
		b.WriteString("\n| attribute | type | default | |\n|---|---|---|---|\n")
		for _, a := range info.Attrs {
			def := "required"
			if a.Default != nil {
				def = "`" + printAttr(a.Default) + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %v | %s | %s |\n", a.Name, a.Kind, def, a.Doc)
		}
	}
	return b.String()
}

func signature(info *OpInfo) string {
	var args []string
	for _, a := range info.Args {
		arg := "%" + a.Name + ": " + a.Role.String()
		if a.Optional {
			arg = "[" + arg + "]"
		}
		args = append(args, arg)
	}
	return "%" + strings.Join(info.Results, ", %") + " = " + info.Name + " " + strings.Join(args, ", ")
}

func flagNames(info *OpInfo) string {
	var names []string
	for _, f := range []struct {
		flag Flags
		name string
	}{{Commutative, "commutative"}, {RowWise, "row-wise"}, {View, "view"}, {WritesCache, "writes the cache"}} {
		if info.Has(f.flag) {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ", ")
}

// Facts that every row must state, so that nothing is said twice or left out.
func TestOpTableRows(t *testing.T) {
	seen := map[string]bool{}
	for _, info := range Ops {
		if seen[info.Name] || !validName(info.Name) {
			t.Errorf("%s: bad or repeated name", info.Name)
		}
		seen[info.Name] = true
		if info.Doc == "" || info.Shape == nil || len(info.Results) == 0 {
			t.Errorf("%s: row is incomplete", info.Name)
		}
		optional := false
		for _, a := range info.Args {
			if optional && !a.Optional {
				t.Errorf("%s: operand %s follows an optional one", info.Name, a.Name)
			}
			optional = a.Optional
		}
		names := map[string]bool{}
		for _, a := range info.Attrs {
			if names[a.Name] || a.Doc == "" {
				t.Errorf("%s: attribute %s repeated or without doc", info.Name, a.Name)
			}
			names[a.Name] = true
			if a.Default != nil && a.check(a.Default) != nil && a.Enum == nil {
				t.Errorf("%s: default of %s is not allowed: %v", info.Name, a.Name, a.check(a.Default))
			}
		}
		if writes := info.Results[len(info.Results)-1] == "cache"; writes != info.Has(WritesCache) {
			t.Errorf("%s: a cache token is given exactly by ops that write it", info.Name)
		}
		if info.Has(Commutative) && len(info.Args) != 2 {
			t.Errorf("%s: commutative ops have two operands", info.Name)
		}
	}
}

func TestNearest(t *testing.T) {
	names := opNames()
	for _, c := range []struct{ name, want string }{
		{"rmsnrom", "rmsnorm"}, {"linaer", "linear"}, {"attn.page", "attn.paged"}, {"conv2d", ""}, {"", ""}, {strings.Repeat("linear", 20), ""},
	} {
		if got := Nearest(c.name, names); got != c.want {
			t.Errorf("Nearest(%q) = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestQuantNames(t *testing.T) {
	for _, c := range []struct {
		name, base string
		group      int64
	}{{"int8", "int8", 0}, {"int4.g32", "int4", 32}, {"q16g.g128", "q16g", 128}, {"int4.g0", "int4.g0", 0}, {"int4.g032", "int4.g032", 0}, {"x.gy", "x.gy", 0}} {
		base, group := SplitQuant(c.name)
		if base != c.base || group != c.group || QuantName(base, group) != c.name {
			t.Errorf("SplitQuant(%q) = %q, %d", c.name, base, group)
		}
	}
}
