package passes

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"llmc/internal/golden"
	"llmc/ir"
)

// example is what the comment of a pass shows.
type example struct {
	policy, before, after string
	cards                 int
}

// readExample finds the IR before and after in the comments of the pass's file.
func readExample(t *testing.T, pass string) example {
	t.Helper()
	path := strings.ReplaceAll(pass, "-", "_") + ".go"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Comments {
		doc := group.Text()
		_, rest, ok := strings.Cut(doc, "\nBefore")
		before, after, both := strings.Cut(rest, "\nAfter:\n")
		if !ok || !both {
			continue
		}
		head, before, _ := strings.Cut(before, ":\n")
		e := example{before: indented(before), after: indented(after)}
		if _, err := fmt.Sscanf(head, " (cards %d)", &e.cards); err != nil {
			e.policy, _, _ = strings.Cut(strings.TrimSuffix(strings.TrimPrefix(head, " (policy "), ")"), ",")
		}
		return e
	}
	t.Fatalf("%s: no comment shows the IR before and after", path)
	return example{}
}

// indented returns the lines of the code block that text begins with.
func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimLeft(text, "\n")) {
		code, ok := strings.CutPrefix(line, "\t")
		if !ok {
			break
		}
		b.WriteString(code)
	}
	return b.String()
}

// The example in each pass's comment is what the pass does, and computes what it did.
func TestExamplesInComments(t *testing.T) {
	for i := range Table {
		p := &Table[i]
		t.Run(p.Name, func(t *testing.T) {
			e := readExample(t, p.Name)
			m := parse(t, e.before)
			report := applyTo(t, p, m, Options{Policy: Policy{Linear: e.policy}, Cards: e.cards})
			if len(report.Rules) == 0 {
				t.Error("the pass reports nothing")
			}
			if got := ir.Print(m); got != e.after {
				t.Errorf("the pass makes\n%s\nthe comment shows\n%s", got, e.after)
			}
		})
	}
}

func parse(t testing.TB, text string) *ir.Module {
	t.Helper()
	m, err := ir.Parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return m
}

// applyTo runs one pass under check and compares what the module computes before and after.
func applyTo(t testing.TB, p *Pass, m *ir.Module, opts Options) PassReport {
	t.Helper()
	opts.Target, opts.Check, opts.Smooth = Plain{}, true, alternating
	e := newEvaluation(t, m)
	before := e.run(t, m)
	report, err := RunOne(p.Name, m, opts)
	if err != nil {
		t.Fatal(err)
	}
	e.check(t, p, before, e.run(t, m))
	return report
}

// alternating factors are powers of two, so that nothing is rounded.
func alternating(s *Smoothing) ([]float32, error) {
	factors := make([]float32, s.Factors)
	for i := range factors {
		factors[i] = []float32{2, 0.5}[i%2]
	}
	return factors, nil
}

// Edge cases, among them where a pass must not fire. A case is a module NAME.in and the module NAME.out that the pass makes,
// under the rules that fired. A first line such as "// policy linear=int8 output=bf16" sets the policy.
func TestCases(t *testing.T) {
	golden.Each(t, "testdata/*.txtar", func(t *testing.T, a *golden.Archive) {
		pass := Find(filepath.Base(t.Name()))
		if pass == nil {
			t.Fatalf("no pass is called %s", filepath.Base(t.Name()))
		}
		for _, section := range a.Sections() {
			name, ok := strings.CutSuffix(section, ".in")
			if !ok {
				continue
			}
			text := a.Input(t, section)
			m := parse(t, text)
			report := applyTo(t, pass, m, optionsOf(t, text))
			a.Check(t, name+".out", "// "+report.String()+"\n"+ir.Print(m))
		}
	})
}

func optionsOf(t *testing.T, text string) (opts Options) {
	line, _, _ := strings.Cut(text, "\n")
	settings, ok := strings.CutPrefix(line, "// policy ")
	if !ok {
		return opts
	}
	for word := range strings.FieldsSeq(settings) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "linear":
			opts.Policy.Linear = value
		case "output":
			opts.Policy.Output = value
		case "embed":
			opts.Policy.Embed = value
		case "disabled":
			opts.Disabled = append(opts.Disabled, value)
		case "cards":
			opts.Cards, _ = strconv.Atoi(value)
		default:
			opts.Policy.Overrides = append(opts.Policy.Overrides, Override{key, value})
		}
	}
	return opts
}

func TestEveryPassHasCases(t *testing.T) {
	for _, name := range Names() {
		if _, err := os.Stat(filepath.Join("testdata", name+".txtar")); err != nil {
			t.Error(err)
		}
	}
}
