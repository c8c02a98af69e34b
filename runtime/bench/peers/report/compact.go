package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"llmc/runtime/bench/peers/sample"
)

// lines are the rows of the compact table for each of this project's formats: figures of a metric with sizes from one to another stand in one cell.
var lines = []struct {
	title    string // with %s where sizes belong
	metric   string
	from, to int64
}{
	{"decode, one sequence (of the bandwidth)", "decode", 1, 1},
	{"decode, %s together", "decode", 2, math.MaxInt64},
	{"prefill of %s (of the peak)", "prefill", 1, 1024},
	{"prefill of %s", "prefill", 1025, math.MaxInt64},
	{"decode at a context of %s", "context", 1, math.MaxInt64},
	{"streaming, one client", "stream", 1, 1},
	{"streaming, %s clients", "stream", 2, math.MaxInt64},
	{"first token p50, %s clients", "first_p50", 1, math.MaxInt64},
	{"first token p99, %s clients", "first_p99", 1, math.MaxInt64},
	{"between tokens p50, %s clients", "between_p50", 1, math.MaxInt64},
	{"between tokens p99, %s clients", "between_p99", 1, math.MaxInt64},
	{"%s streams: between tokens p99", "arrival_before", 1, math.MaxInt64},
	{"the same while a prompt of %s arrives", "arrival_p99", 1, math.MaxInt64},
	{"the second over the first", "arrival_times", 1, math.MaxInt64},
	{"processors a token, %s clients", "host_token", 1, math.MaxInt64},
	{"processors a stream, %s clients", "host_stream", 1, math.MaxInt64},
	{"server: start to first token", "start_server", 0, 0},
	{"program: start to first token", "start", 0, 0},
	{"memory, one sequence", "memory", 0, 0},
	{"memory, server after %s clients", "memory_server", 1, math.MaxInt64},
	{"conversion of the checkpoint", "build", 0, 0},
	{"perplexity, %s windows, at bits a parameter", "ppl", 1, math.MaxInt64},
}

// compact prints the table of a model that has all that goals are about.
func (p *page) compact(model string) {
	var columns []string
	for _, f := range p.figures {
		if f.Model == model && f.Peer != sample.Own && !slices.Contains(columns, f.Peer) {
			columns = append(columns, f.Peer)
		}
	}
	p.order(columns)
	began := false
	for _, l := range lines {
		for _, format := range formats {
			for _, v := range p.variants(model, format) {
				sizes := p.sizes(model, format, v, l.metric, l.from, l.to)
				if len(sizes) == 0 {
					continue
				}
				if !began {
					p.head(model, slices.Concat([]string{"", "format", sample.Own}, columns, []string{"ratio", "goal", "held"})...)
					began = true
				}
				p.compactRow(l.title, l.metric, v, sizes, columns)
			}
		}
	}
}

// sizes returns the figures of a metric by size, where this project has one.
func (p *page) sizes(model, format, variant, metric string, from, to int64) map[int64][]sample.Figure {
	found := map[int64][]sample.Figure{}
	for _, f := range p.figures {
		if f.Model == model && f.Format == format && f.Metric == metric && from <= f.Size && f.Size <= to && (f.Peer != sample.Own || f.Variant == variant) {
			found[f.Size] = append(found[f.Size], f)
		}
	}
	maps.DeleteFunc(found, func(_ int64, list []sample.Figure) bool {
		return !slices.ContainsFunc(list, func(f sample.Figure) bool { return f.Peer == sample.Own && f.Samples > 0 })
	})
	return found
}

// compactRow prints a row, each cell with what there is of all sizes.
func (p *page) compactRow(name, metric, variant string, sizes map[int64][]sample.Figure, columns []string) {
	m, _ := sample.FindMetric(metric)
	cells := make([][]string, len(columns)+4)
	var asked []string
	held, judged := 0, 0
	for _, size := range slices.Sorted(maps.Keys(sizes)) {
		asked = append(asked, strconv.FormatInt(size, 10))
		c := p.compare(m, sizes[size])
		own := p.short(c.own)
		if c.own.Share > 0 && strings.Contains(name, "(of the") {
			own += fmt.Sprintf(" (%.0f %%)", 100*c.own.Share)
		}
		row := []string{own}
		for _, peer := range columns {
			row = append(row, p.cellOf(m, sizes[size], peer))
		}
		row = append(row, cmp.Or(c.ratio(m), "-"), c.wish())
		if len(c.aims) > 0 {
			judged++
			if c.reached() {
				held++
			}
		}
		for i, text := range row {
			cells[i] = append(cells[i], text)
		}
	}
	if strings.Contains(name, "%s") {
		name = fmt.Sprintf(name, strings.Join(asked, " / "))
	}
	texts := []string{strings.TrimSuffix(name+", "+m.Unit, ", "), variant}
	for i, c := range cells[:len(columns)+3] {
		texts = append(texts, together(c, i == len(columns)+2))
	}
	p.line(append(texts, verdict(held, judged))...)
}

// together joins the cells of several sizes. What is missing in all is said once, and a goal that is the same for all.
func together(cells []string, goal bool) string {
	if len(slices.Compact(slices.Clone(cells))) == 1 && (goal || len(cells) == 1 || cells[0] == "-" || cells[0] == "cannot") {
		return strings.TrimPrefix(cells[0], "-")
	}
	return strings.Join(cells, " / ")
}

func verdict(held, judged int) string {
	switch {
	case judged == 0:
		return ""
	case held == judged:
		return "yes"
	case judged == 1:
		return "no"
	}
	return fmt.Sprintf("%d of %d", held, judged)
}

// cellOf is the best figure of a peer.
func (p *page) cellOf(m sample.Metric, figures []sample.Figure, peer string) string {
	f, has := bestOf(m, figures, func(f *sample.Figure) bool { return f.Peer == peer })
	switch {
	case has:
		return p.short(f)
	case slices.ContainsFunc(figures, func(f sample.Figure) bool { return f.Peer == peer }):
		return "cannot"
	}
	return "-"
}

// short is a figure without its range, with its bits where it is meant at those.
func (p *page) short(f sample.Figure) string {
	if m, _ := sample.FindMetric(f.Metric); m.AtBits {
		return strings.TrimSuffix(fmt.Sprintf("%.2f at %s", f.Median, bitsOf(p, f)), " at ")
	}
	text := number(f.Median)
	if f.Noisy {
		p.noisy = true
		text += " ~"
	}
	return text
}

// wish is what the goal wants.
func (c *comparison) wish() string {
	var parts []string
	for _, a := range c.aims {
		parts = append(parts, a.text)
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}
