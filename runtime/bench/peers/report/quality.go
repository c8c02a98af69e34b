package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"llmc/runtime/bench/peers/sample"
)

// quality prints perplexities of a model beside the bits that they are reached with.
func (p *page) quality(model string) {
	var found []sample.Figure
	for _, f := range p.figures {
		if f.Model == model && f.Metric == "ppl" {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return
	}
	slices.SortStableFunc(found, func(a, b sample.Figure) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), slices.Index(formats, a.Format)-slices.Index(formats, b.Format), cmp.Compare(a.Median, b.Median))
	})
	p.head(model+": quality on the evaluation text", "format", "engine", "bits a parameter", "windows", "perplexity", "over "+referencePeer+" bf16")
	over := map[int64]float64{}
	for _, f := range found {
		if f.Peer == referencePeer && f.Format == "bf16" {
			over[f.Size] = f.Median
		}
	}
	for _, f := range found {
		ppl, loss := "cannot", ""
		if f.Samples > 0 {
			ppl = fmt.Sprintf("%.3f", f.Median)
			if over[f.Size] > 0 {
				loss = fmt.Sprintf("%+.2f %%", 100*(f.Median/over[f.Size]-1))
			}
		}
		p.line(f.Format, f.Peer+" "+f.Variant, bitsOf(p, f), fmt.Sprint(f.Size), ppl, loss)
	}
	p.text.WriteString("\nThe same tokens for all, in windows of 512, of which the second half is scored. ")
	p.text.WriteString("Bits are those of the file: all that it holds, over the model's parameters.\n")
}

func bitsOf(p *page, f sample.Figure) string {
	if bits := p.of(f.Key, "bits"); bits > 0 {
		return fmt.Sprintf("%.2f", bits)
	}
	return ""
}

// referencePeer computes as the model was made.
const referencePeer = "transformers"

// about says when, where and how the samples were taken.
func (p *page) about(parts []sample.About) {
	if len(parts) == 0 {
		return
	}
	var dates, machines, commands, who []string
	versions := map[string][]string{}
	add := func(list *[]string, text string) {
		if text != "" && !slices.Contains(*list, text) {
			*list = append(*list, text)
		}
	}
	for _, a := range parts {
		add(&dates, a.Date)
		add(&machines, fmt.Sprintf("%s; %d threads", a.Machine, a.Threads))
		add(&commands, "peers "+strings.Join(a.Command, " "))
		for _, name := range slices.Sorted(maps.Keys(a.Versions)) {
			list := versions[name]
			add(&list, a.Versions[name])
			versions[name] = list
		}
	}
	names := slices.Collect(maps.Keys(versions))
	slices.Sort(names)
	p.order(names)
	for _, name := range names {
		who = append(who, strings.TrimSpace(name+" "+strings.Join(versions[name], ", ")))
	}
	fmt.Fprintf(&p.text, "%s, %s. %s.\n\n", strings.Join(dates, ", "), strings.Join(machines, " and "), strings.Join(who, "; "))
	fmt.Fprintf(&p.text, "```\n%s\n```\n", strings.Join(commands, "\n"))
}
