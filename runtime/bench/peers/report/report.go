// Package report prints what was measured as Markdown: the machine's limits, and for each model and format a row for each figure, with what every
// peer reached, who is best, and how many times better this project is.
package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"llmc/runtime/bench/peers/sample"
)

// Options say how the tables are made.
type Options struct {
	Noise   float64  // part of the machine above which what others take spoils a sample
	Peers   []string // in the order of the columns
	Own     []string // of this project's formats only these, if there are any
	Compact bool     // no more than fits a page: the compact table of each model, and its quality
}

// Write prints all tables.
func Write(w io.Writer, all *sample.All, o Options) error {
	figures := sample.Summarize(all.Samples, o.Noise)
	if len(o.Own) > 0 {
		figures = slices.DeleteFunc(figures, func(f sample.Figure) bool { return f.Peer == sample.Own && !slices.Contains(o.Own, f.Variant) })
	}
	p := &page{figures: figures, peers: o.Peers}
	p.about(all.About)
	models := p.distinct(func(k sample.Key) string { return k.Model })
	for _, model := range models {
		p.compact(model)
		p.quality(model)
	}
	if !o.Compact {
		p.machine()
		for _, model := range models {
			for _, format := range formats {
				p.tables(model, format)
			}
		}
	}
	p.notes(o.Noise)
	_, err := io.WriteString(w, strings.TrimPrefix(p.text.String(), "\n"))
	return err
}

// formats are the tables of a model, in order. What has none belongs to no table of a model.
var formats = []string{"int4", "int8", "bf16", "f32"}

type page struct {
	figures []sample.Figure
	peers   []string
	text    strings.Builder
	noisy   bool
}

func (p *page) line(cells ...string) { fmt.Fprintf(&p.text, "| %s |\n", strings.Join(cells, " | ")) }

func (p *page) head(title string, cells ...string) {
	fmt.Fprintf(&p.text, "\n## %s\n\n", title)
	p.line(cells...)
	p.text.WriteString("|---" + strings.Repeat("|---:", len(cells)-1) + "|\n")
}

// distinct returns what of gives of the figures' keys, each once, without empty ones.
func (p *page) distinct(of func(sample.Key) string) []string {
	var list []string
	for _, f := range p.figures {
		if v := of(f.Key); v != "" && !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

// machine prints the limits.
func (p *page) machine() {
	began := false
	for _, m := range sample.Metrics {
		for _, f := range p.figures {
			if f.Peer != sample.Machine || f.Metric != m.Name {
				continue
			}
			if !began {
				p.head("Limits of the machine", "", "median (least - most)")
				began = true
			}
			name := title(m, f.Size)
			if f.Variant != "" {
				name += " of " + f.Variant + " (" + f.Format + ")"
			}
			p.line(name, p.cell(f)+" "+m.Unit)
		}
	}
}

// rowKey is what a row of a table is about.
type rowKey struct {
	metric int // in sample.Metrics
	size   int64
}

// variants are this project's own formats of those that are compared together.
func (p *page) variants(model, format string) []string {
	var list []string
	for _, f := range p.figures {
		if f.Model == model && f.Format == format && f.Peer == sample.Own && !slices.Contains(list, f.Variant) {
			list = append(list, f.Variant)
		}
	}
	return list
}

// tables prints a table for each of this project's variants of a format, or one for peers alone.
func (p *page) tables(model, format string) {
	variants := p.variants(model, format)
	for _, v := range variants {
		p.table(model, format, v)
	}
	if len(variants) == 0 {
		p.table(model, format, format)
	}
}

// table prints what there is of a model in a format, of this project's in one variant.
func (p *page) table(model, format, variant string) {
	rows := map[rowKey][]sample.Figure{}
	var keys []rowKey
	var columns []string
	for _, f := range p.figures {
		if f.Model != model || f.Format != format || f.Peer == sample.Own && f.Variant != variant {
			continue
		}
		k := rowKey{slices.IndexFunc(sample.Metrics, func(m sample.Metric) bool { return m.Name == f.Metric }), f.Size}
		if _, has := rows[k]; !has {
			keys = append(keys, k)
		}
		rows[k] = append(rows[k], f)
		if f.Peer != sample.Own && !slices.Contains(columns, f.Peer) {
			columns = append(columns, f.Peer)
		}
	}
	if len(keys) == 0 {
		return
	}
	slices.SortFunc(keys, func(a, b rowKey) int { return cmp.Or(a.metric-b.metric, cmp.Compare(a.size, b.size)) })
	p.order(columns)
	p.head(model+", "+variant, slices.Concat([]string{"", "unit", sample.Own, "of its limit"}, columns, []string{"best peer", "ratio", "goal"})...)
	for _, k := range keys {
		p.row(sample.Metrics[k.metric], rows[k], columns)
	}
}

// order sorts peers as columns are.
func (p *page) order(columns []string) {
	slices.SortStableFunc(columns, func(a, b string) int { return slices.Index(p.peers, a) - slices.Index(p.peers, b) })
}

// row prints the figures of one row, of which there may be several of a peer: its variants.
func (p *page) row(m sample.Metric, figures []sample.Figure, columns []string) {
	c := p.compare(m, figures)
	cells := []string{title(m, figures[0].Size), m.Unit, "", ""}
	if c.has {
		cells[2] = p.cell(c.own)
		if c.own.Share > 0 {
			cells[3] = fmt.Sprintf("%.0f %% %s", 100*c.own.Share, m.Limit)
		}
	}
	for _, c := range columns {
		if f, has := bestOf(m, figures, func(f *sample.Figure) bool { return f.Peer == c }); has {
			cells = append(cells, p.cell(f))
		} else {
			cells = append(cells, "")
		}
	}
	name, aim := "", ""
	if c.peers {
		name = c.best.Peer + " " + c.best.Variant
	}
	if c.wanted {
		aim = c.text(m)
	}
	p.line(append(cells, name, c.ratio(m), aim)...)
}

// bestOf returns the best figure of those that count.
func bestOf(m sample.Metric, figures []sample.Figure, counts func(*sample.Figure) bool) (best sample.Figure, found bool) {
	for i := range figures {
		if f := &figures[i]; f.Samples > 0 && counts(f) && (!found || (f.Median < best.Median) == m.Less && f.Median != best.Median) {
			best, found = *f, true
		}
	}
	return best, found
}

// cell is a figure with its range, marked where it is not to be trusted.
func (p *page) cell(f sample.Figure) string {
	text := number(f.Median)
	if f.Samples > 1 {
		text += " (" + number(f.Min) + " - " + number(f.Max) + ")"
	}
	if f.Noisy {
		p.noisy = true
		text += " ~"
	}
	return text
}

func title(m sample.Metric, size int64) string {
	if m.HasSize() {
		return fmt.Sprintf(m.Title, size)
	}
	return m.Title
}

// number prints three digits, or all before the point.
func number(v float64) string {
	if v == 0 || math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', min(digits, 4), 64)
}

// notes say how the figures were taken, and what peers could not do.
func (p *page) notes(noise float64) {
	least, most, dropped := math.MaxInt, 0, 0
	for _, f := range p.figures {
		if f.Failed != "" {
			continue
		}
		dropped += f.Dropped
		if m, _ := sample.FindMetric(f.Metric); f.Peer != sample.Machine && !m.Plain && !m.Fixed {
			least, most = min(least, f.Samples), max(most, f.Samples)
		}
	}
	if most > 0 {
		p.counted(least, most, dropped, noise)
	}
	p.failures()
}

// failures lists what could not be measured, what failed for the same reason together.
func (p *page) failures() {
	type failure struct{ who, why string }
	var order []failure
	what := map[failure][]string{}
	for _, f := range p.figures {
		if f.Failed == "" {
			continue
		}
		m, _ := sample.FindMetric(f.Metric)
		k := failure{f.Peer + " " + f.Variant, f.Failed}
		if what[k] == nil {
			order = append(order, k)
		}
		what[k] = append(what[k], title(m, f.Size))
	}
	if len(order) > 0 {
		p.text.WriteString("\nNot measured:\n\n")
	}
	for _, k := range order {
		fmt.Fprintf(&p.text, "- %s, %s: %s\n", k.who, strings.Join(what[k], "; "), k.why)
	}
}

func (p *page) counted(least, most, dropped int, noise float64) {
	p.text.WriteString("\n")
	count := strconv.Itoa(most)
	if least < most {
		count = strconv.Itoa(least) + " to " + count
	}
	fmt.Fprintf(&p.text, "Samples of a figure: %s; it is their median. Samples dropped, since other processes took more than %.0f %% of the machine: %d.\n", count, 100*noise, dropped)
	fmt.Fprintf(&p.text, "A ratio is how many times better %s is than the best peer, whatever better means in the row; bold where it is behind.\n", sample.Own)
	if p.noisy {
		p.text.WriteString("~: there were only such samples; the quietest count.\n")
	}
}
