package engine

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"llmc/internal/golden"
)

const formatPage = "../docs/plan-format.md"

// The tables of docs/plan-format.md that repeat tables of this package are generated; UPDATE=1 renews them.
func TestFormatPage(t *testing.T) {
	page, err := os.ReadFile(formatPage)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for name, table := range map[string]string{"kinds": kindsTable(), "kernels": kernelsTable()} {
		begin := fmt.Sprintf("<!-- generated: %s -->\n", name)
		before, rest, ok := strings.Cut(text, begin)
		old, after, ok2 := strings.Cut(rest, "<!-- end -->")
		if !ok || !ok2 {
			t.Fatalf("%s has no place for %s", formatPage, name)
		}
		if old != table && !golden.Updating() {
			t.Errorf("table of %s in %s is old; UPDATE=1 renews it", name, formatPage)
		}
		text = before + begin + table + "<!-- end -->" + after
	}
	if golden.Updating() && text != string(page) {
		if err := os.WriteFile(formatPage, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func kindsTable() string {
	var b strings.Builder
	b.WriteString("| kind | how many | loaded | at most, bytes |\n|---|---|---|---|\n")
	word := map[bool]string{true: "yes", false: ""}
	for _, k := range kinds {
		count := map[bool]string{true: "1", false: "0 or 1"}[k.required]
		if k.many {
			count = "any, by name"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %d |\n", k.kind, count, word[k.loaded], k.max)
	}
	return b.String()
}

func kernelsTable() string {
	var b strings.Builder
	b.WriteString("| kernel | operands | attributes | conditions | does |\n|---|---|---|---|---|\n")
	for _, k := range Kernels {
		var roles, attrs []string
		for _, r := range k.Roles {
			roles = append(roles, describeRole(&r))
		}
		for _, a := range k.Attrs {
			attrs = append(attrs, describeAttr(&a))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Name, strings.Join(roles, ", "), strings.Join(attrs, ", "), strings.Join(k.Where, ", "), k.Doc)
	}
	return b.String()
}

func describeRole(r *Role) string {
	text := r.Name
	switch r.Kind {
	case OperandWeight:
		text += "[" + strings.Join(r.Types, " ") + "]"
	case OperandInput:
		text += " (input)"
	case OperandCache:
		text += " (cache of " + strings.Join(r.Types, " or ") + ")"
	default:
		text += " " + strings.Join(r.Types, " or ")
	}
	if len(r.Dims) > 0 {
		text += " [" + strings.Join(r.Dims, " ") + "]"
	}
	if r.Writes {
		text = "-> " + text
	}
	if r.Scratch {
		text = "scratch " + text
	}
	if r.Optional {
		text += "?"
	}
	return text
}

func describeAttr(a *AttrRow) string {
	text := a.Name
	switch a.Kind {
	case AttrInt:
		text += " int"
	case AttrFloat:
		text += " float"
	case AttrText:
		text += " " + strings.Join(a.Values, "/")
	}
	if a.Optional {
		text += "?"
	}
	return text
}
