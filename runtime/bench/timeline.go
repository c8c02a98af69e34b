package bench

import (
	_ "embed" // for the style
	"encoding/json"
	"fmt"
	"hash/fnv"
	"html"
	"io"
	"slices"
	"strings"

	"llmc/internal/cli"
)

//go:embed page/timeline.css
var timelineStyle string

// bar is a launch in a timeline, of the mean step of a phase.
type bar struct {
	Label, Kernel string
	Start, Micros float64
	Bytes         string // "" where the device does not say
	GBs, TFlops   float64
}

// bars are the launches that ran, one behind the other.
func (p *Phase) bars() []bar {
	var bars []bar
	at, steps := 0.0, float64(p.Steps)
	for i := range p.Launches {
		l := &p.Launches[i]
		micros := 1e6 * l.Seconds / steps
		if micros <= 0 {
			continue
		}
		b := bar{Label: l.Label, Kernel: l.Kernel, Start: at, Micros: micros}
		if l.Traffic > 0 {
			b.Bytes = cli.FormatBytes(int64(l.Traffic / steps))
			b.GBs, b.TFlops = l.Traffic/steps/micros/1e3, l.Flops/steps/micros/1e6
		}
		at += micros
		bars = append(bars, b)
	}
	return bars
}

// page is HTML that is being written. Templates would do, but they keep the linker from leaving out what a program does not use: 5 MB of llmrun.
type page struct{ strings.Builder }

// add formats its arguments as fmt does, texts escaped for text and for attributes in double quotes.
func (p *page) add(format string, args ...any) {
	for i, a := range args {
		if text, ok := a.(string); ok {
			args[i] = html.EscapeString(text)
		}
	}
	fmt.Fprintf(p, format, args...)
}

// color is a kernel's, the same in every page.
func color(kernel string) string {
	h := fnv.New32a()
	io.WriteString(h, kernel)
	return fmt.Sprintf("hsl(%d,60%%,75%%)", h.Sum32()%360)
}

// WriteTimeline writes the phases as a page without anything from elsewhere: a bar for each launch, and tables.
func WriteTimeline(w io.Writer, title, subtitle string, phases []Phase) error {
	p := &page{}
	p.add("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>%s</title>\n<style>\n", title)
	p.WriteString(timelineStyle)
	p.add("</style>\n<h1>%s</h1>\n<p>%s A bar begins with the end of the launch before it. Bytes are weights, activations and cache, each read or written once.</p>\n", title, subtitle)
	for i := range phases {
		p.phase(&phases[i])
	}
	_, err := io.WriteString(w, p.String())
	return err
}

func (p *page) phase(phase *Phase) {
	whole := 1e6 * phase.Seconds()
	p.add("<h2>%s: %.1f µs a step, mean of %d</h2>\n", phase.Name, whole, phase.Steps)
	p.WriteString(`<label>zoom <input type="range" min="1" max="40" value="1" oninput="this.parentNode.nextElementSibling.firstElementChild.style.width = this.value + '00%'"></label>` + "\n")
	p.WriteString(`<div class="scroll"><div class="line">` + "\n")
	bars := phase.bars()
	for _, b := range bars {
		p.add(`<div style="left:%.4f%%;width:%.4f%%;background:%s" title="%s">%s</div>`+"\n", 100*b.Start/whole, 100*b.Micros/whole, color(b.Kernel), b.describe(), b.Label)
	}
	p.WriteString("</div></div>\n<table><tr><th class=\"name\">kernel</th><th>launches</th><th>µs a step</th><th>share</th><th>GB/s</th><th>TFLOP/s</th></tr>\n")
	for _, q := range phase.parts() {
		p.add("<tr><td class=\"name\"><i style=\"background:%s\"></i>%s</td><td>%d</td><td>%.2f</td><td>%.1f %%</td><td>%.0f</td><td>%.1f</td></tr>\n",
			color(q.Kernel), q.Kernel, q.Launches, q.Micros, 100*q.Share, q.Traffic, q.TFlops)
	}
	p.WriteString("</table>\n<details><summary>all launches, the longest first</summary>\n<table><tr><th class=\"name\">launch</th><th class=\"name\">kernel</th><th>µs</th><th>bytes</th><th>GB/s</th><th>TFLOP/s</th></tr>\n")
	slices.SortStableFunc(bars, func(a, b bar) int {
		if a.Micros > b.Micros {
			return -1
		}
		return 1
	})
	for _, b := range bars {
		p.add("<tr><td class=\"name\">%s</td><td class=\"name\">%s</td><td>%.2f</td><td>%s</td><td>%.0f</td><td>%.1f</td></tr>\n", b.Label, b.Kernel, b.Micros, b.Bytes, b.GBs, b.TFlops)
	}
	p.WriteString("</table></details>\n")
}

// describe is what is shown where the pointer rests.
func (b *bar) describe() string {
	text := fmt.Sprintf("%s\n%s\n%.2f µs from %.2f on", b.Label, b.Kernel, b.Micros, b.Start)
	if b.Bytes != "" {
		text += fmt.Sprintf("\n%s, %.0f GB/s, %.1f TFLOP/s", b.Bytes, b.GBs, b.TFlops)
	}
	return text
}

// event is one of Chrome's trace event format, as chrome://tracing and Perfetto read it.
type event struct {
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Phase    string         `json:"ph"`
	Start    float64        `json:"ts"` // microseconds
	Duration float64        `json:"dur,omitempty"`
	Process  int            `json:"pid"`
	Thread   int            `json:"tid"`
	Args     map[string]any `json:"args,omitempty"`
}

// WriteTrace writes the phases as Chrome's trace events: a thread for each phase, of its mean step.
func WriteTrace(w io.Writer, title string, phases []Phase) error {
	events := []event{{Name: "process_name", Phase: "M", Args: map[string]any{"name": title}}}
	for i := range phases {
		p := &phases[i]
		events = append(events, event{Name: "thread_name", Phase: "M", Thread: i, Args: map[string]any{"name": p.Name}})
		for _, b := range p.bars() {
			e := event{Name: b.Label, Category: b.Kernel, Phase: "X", Start: b.Start, Duration: b.Micros, Thread: i, Args: map[string]any{"kernel": b.Kernel}}
			if b.Bytes != "" {
				e.Args["bytes"], e.Args["gb_per_s"], e.Args["tflop_per_s"] = b.Bytes, b.GBs, b.TFlops
			}
			events = append(events, e)
		}
	}
	return json.NewEncoder(w).Encode(map[string]any{"traceEvents": events, "displayTimeUnit": "ns"})
}
