package dump

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"llmc/compiler/dump/graph"
	"llmc/engine"
	"llmc/ir"
)

// pageData is what a page's scripts read, as JSON in the page.
type pageData struct {
	Graphs  []titled         `json:"graphs"`
	Weights map[string][]any `json:"weights,omitempty"` // format and bytes, by name
	PTX     *ptxText         `json:"ptx,omitempty"`
}

// titled is a graph with what it is called, and what its ops cost in a step of one token: bytes, operations, seconds; nil where that is not known.
type titled struct {
	*graph.Graph
	Title string       `json:"title"`
	Costs [][3]float64 `json:"costs,omitempty"`
}

// ptxText is the code of all targets: one text, packed, and from where to where in it, in lines, entries reach, by target and name.
type ptxText struct {
	Text    string                       `json:"text"` // base64 of gzip of foldLines
	Entries map[string]map[string][2]int `json:"entries"`
}

// drawPlan makes graphs of the IR that the plan holds.
func (d *page) drawPlan(p *engine.Plan) {
	for _, name := range p.Names(engine.KindIR) {
		text, err := p.Section(engine.KindIR, name)
		var m *ir.Module
		if err == nil {
			m, err = ir.Parse(string(text))
		}
		if err != nil {
			d.Missing = append(d.Missing, fmt.Sprintf("The graph %q is not drawn: %.300v", name, err))
			continue
		}
		target, compiled := d.targetOf(name)
		for _, f := range m.Funcs {
			t := titled{Graph: graph.New(name, f), Title: f.Name + ", as imported"}
			if compiled {
				t.Title = f.Name + " for " + target
				t.Costs = d.costs(f, target)
			}
			d.Data.Graphs = append(d.Data.Graphs, t)
		}
	}
	d.Data.Weights = map[string][]any{}
	for _, w := range d.Plan.Weights {
		d.Data.Weights[w.Name] = []any{w.Format, w.Bytes}
	}
	// What will run comes first.
	slices.SortStableFunc(d.Data.Graphs, func(a, b titled) int { return strings.Compare(a.Stage[:1], b.Stage[:1]) })
}

// targetOf is the target that a section of IR was compiled for.
func (d *page) targetOf(section string) (target string, compiled bool) {
	stage, target, named := strings.Cut(section, "/")
	if stage != "final" {
		return "", false
	}
	if !named && len(d.Targets) > 0 {
		target = d.Targets[0]
	}
	return target, true
}

// costs finds the launches that ops became: these are in the order of the ops, and more may follow.
func (d *page) costs(f *ir.Func, target string) [][3]float64 {
	i := slices.IndexFunc(d.Programs, func(p Program) bool { return p.Function == f.Name && p.Target == target })
	if i < 0 {
		return nil
	}
	launches := d.Programs[i].Launches
	var costs [][3]float64
	for _, op := range f.Ops {
		if len(launches) == 0 || launches[0].Kernel != op.Kernel {
			return nil
		}
		c := launches[0].Steps[0]
		costs, launches = append(costs, [3]float64{c.Bytes, c.Flops, c.Seconds}), launches[1:]
	}
	return costs
}

// codeTable lists the entries of a target's code.
type codeTable struct {
	Target  string
	Entries []codeRow
}

type codeRow struct {
	Name     string
	Kernels  string // of the launches that run it
	Launches int
	Sections int // that its text is divided into
	Bytes    int64
}

// addCode takes in the PTX of all targets.
func (d *page) addCode(p *engine.Plan) error {
	code := ptxText{Entries: map[string]map[string][2]int{}}
	var lines []string
	for _, target := range p.Names(engine.KindPTX) {
		text, err := p.Section(engine.KindPTX, target)
		if err != nil {
			return err
		}
		table, places := codeTable{Target: target}, map[string][2]int{}
		for _, e := range NewPTX(target, string(text)).Entries {
			own := splitLines(e.Text)
			places[e.Name] = [2]int{len(lines), len(lines) + len(own)}
			lines = append(lines, own...)
			row := codeRow{Name: e.Name, Bytes: int64(len(e.Text)), Sections: strings.Count(e.Text, "// --- ")}
			row.Kernels, row.Launches = d.users(target, e.Name)
			table.Entries = append(table.Entries, row)
		}
		code.Entries[target] = places
		d.Code = append(d.Code, table)
	}
	if len(lines) == 0 {
		return nil
	}
	var err error
	code.Text, err = pack(foldLines(lines))
	d.Data.PTX = &code
	return err
}

// users says which launches run an entry.
func (d *page) users(target, entry string) (kernels string, launches int) {
	var names []string
	for i := range d.Programs {
		if d.Programs[i].Target != target {
			continue
		}
		for _, l := range d.Programs[i].Launches {
			if slices.ContainsFunc(l.Code, func(c Code) bool { return c.Entry == entry }) {
				launches++
				names = append(names, l.Kernel)
			}
		}
		for _, e := range d.Programs[i].Persistent {
			if e.Entry == entry {
				names = append(names, fmt.Sprintf("all %d launches of a step of few tokens", e.Launches))
			}
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", "), launches
}

// folded is how many lines a repetition has at least.
const folded = 3

// Marks at the beginning of a line: of a repetition, which says how many lines before its own it begins, and how many it has; and of a line that would begin with a mark.
const (
	repeatMark = "\x01"
	plainMark  = "\x02"
)

// foldLines joins lines, with what has been there before as repetitions: kernels of one kind differ in few lines, further apart than gzip looks.
func foldLines(lines []string) []byte {
	var b bytes.Buffer
	last := map[[folded]string]int{} // where these lines were last
	at := func(i int) (key [folded]string) {
		copy(key[:], lines[i:])
		return key
	}
	for i := 0; i < len(lines); {
		if i > 0 {
			b.WriteByte('\n')
		}
		n := 0
		if i+folded <= len(lines) {
			if from, there := last[at(i)]; there {
				for i+n < len(lines) && from+n < i && lines[from+n] == lines[i+n] {
					n++
				}
				if n >= folded {
					fmt.Fprintf(&b, "%s%d %d", repeatMark, i-from, n)
				}
			}
		}
		if n < folded {
			n = 1
			if strings.HasPrefix(lines[i], repeatMark) || strings.HasPrefix(lines[i], plainMark) {
				b.WriteString(plainMark)
			}
			b.WriteString(lines[i])
		}
		for end := i + n; i < end; i++ {
			if i+folded <= len(lines) {
				last[at(i)] = i
			}
		}
	}
	return b.Bytes()
}

func pack(text []byte) (string, error) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := z.Write(text); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes()), nil
}
