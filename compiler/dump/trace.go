package dump

import (
	"io"
	"strings"

	"llmc/compiler/dump/graph"
	"llmc/ir"
	"llmc/passes"
)

// Trace records what the passes make of a module, target by target, for the page of `llmc build --dump html`.
type Trace struct {
	Model string
	Runs  []*TraceRun
}

// TraceRun is one run through the pass table.
type TraceRun struct {
	Target string
	First  string // the module before the first pass
	Passes []*TracePass

	last   string
	graphs []titled
}

// TracePass is what one pass did.
type TracePass struct {
	Name, Doc      string
	Rules          []passes.RuleCount
	Changed        bool
	Added, Removed int
	Blocks         []TraceBlock
}

// TraceBlock is a run of lines of the module after the pass. Quiet ones are far from any change and shown folded.
type TraceBlock struct {
	Quiet bool
	Lines []TraceLine
}

// TraceLine is one line, with the class that its change gives it: "", "add" or "del".
type TraceLine struct{ Class, Text string }

// Begin starts the record of a run. m is the module before the passes.
func (t *Trace) Begin(target string, m *ir.Module) *TraceRun {
	text := ir.Print(m)
	run := &TraceRun{Target: target, First: text, last: text}
	run.draw("as imported", m)
	t.Runs = append(t.Runs, run)
	return run
}

// After records the module after a pass. It has the type of passes.Options.After.
func (r *TraceRun) After(pass string, m *ir.Module) {
	text := ir.Print(m)
	p := &TracePass{Name: pass, Changed: text != r.last}
	if row := passes.Find(pass); row != nil {
		p.Doc = row.Doc
	}
	if p.Changed {
		lines := diffIR(splitLines(r.last), splitLines(text))
		for _, l := range lines {
			switch l.kind {
			case added:
				p.Added++
			case removed:
				p.Removed++
			}
		}
		p.Blocks = blocks(lines)
		r.draw("after "+pass, m)
	}
	r.Passes, r.last = append(r.Passes, p), text
}

// draw keeps the graphs of a module's functions, without what only the unfolded view shows: there is one for each pass.
func (r *TraceRun) draw(when string, m *ir.Module) {
	for _, f := range m.Clone().Funcs { // numbering values is not for a record to do to the module
		r.graphs = append(r.graphs, titled{Graph: graph.New(when, f).Brief(), Title: r.Target + ": " + f.Name + ", " + when})
	}
}

// End adds the counts of the rules that fired.
func (r *TraceRun) End(report *passes.Report) {
	if report == nil {
		return
	}
	rules := map[string][]passes.RuleCount{}
	for _, p := range report.Passes {
		rules[p.Name] = p.Rules
	}
	for _, p := range r.Passes {
		p.Rules = rules[p.Name]
	}
}

// WriteHTML writes the record as one page that needs nothing else.
func (t *Trace) WriteHTML(w io.Writer) error {
	data := struct {
		*Trace
		frame
		Data pageData
	}{Trace: t, frame: newFrame("graph.js")}
	for _, r := range t.Runs {
		data.Data.Graphs = append(data.Data.Graphs, r.graphs...)
	}
	return pages.ExecuteTemplate(w, "passes.html", data)
}

func splitLines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

// nearby is how many unchanged lines are shown on each side of a change.
const nearby = 3

var lineClasses = map[lineKind]string{kept: "", added: "add", removed: "del"}

// blocks cuts lines into runs near to a change and far from one.
func blocks(lines []line) []TraceBlock {
	near := make([]bool, len(lines))
	for i, l := range lines {
		if l.kind == kept {
			continue
		}
		for j := max(0, i-nearby); j < min(len(lines), i+nearby+1); j++ {
			near[j] = true
		}
	}
	var out []TraceBlock
	for i, l := range lines {
		if i == 0 || near[i] != near[i-1] {
			out = append(out, TraceBlock{Quiet: !near[i]})
		}
		b := &out[len(out)-1]
		b.Lines = append(b.Lines, TraceLine{lineClasses[l.kind], l.text})
	}
	return out
}
