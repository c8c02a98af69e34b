package bench

import (
	"embed"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"html/template"
	"io"
	"slices"

	"llmc/internal/cli"
)

//go:embed page
var pageFiles embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"hue":     hue,
	"percent": func(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) },
}).ParseFS(pageFiles, "page/*"))

// hue is a kernel's colour, the same in every page.
func hue(kernel string) int {
	h := fnv.New32a()
	io.WriteString(h, kernel)
	return int(h.Sum32() % 360)
}

// bar is a launch in a timeline, of the mean step of a phase.
type bar struct {
	Label, Kernel string
	Start, Micros float64
	Left, Width   float64 // percent of the step
	Hue           int
	Bytes         string // "" where the device does not say
	GBs, TFlops   float64
}

// bars are the launches that ran, one behind the other.
func (p *Phase) bars() []bar {
	var bars []bar
	at, whole, steps := 0.0, 1e6*p.Seconds(), float64(p.Steps)
	for i := range p.Launches {
		l := &p.Launches[i]
		micros := 1e6 * l.Seconds / steps
		if micros <= 0 {
			continue
		}
		b := bar{Label: l.Label, Kernel: l.Kernel, Start: at, Micros: micros, Left: 100 * at / whole, Width: 100 * micros / whole, Hue: hue(l.Kernel)}
		if l.Traffic > 0 {
			b.Bytes = cli.FormatBytes(int64(l.Traffic / steps))
			b.GBs, b.TFlops = l.Traffic/steps/micros/1e3, l.Flops/steps/micros/1e6
		}
		at += micros
		bars = append(bars, b)
	}
	return bars
}

// WriteTimeline writes the phases as a page without anything from elsewhere: a bar for each launch, and tables.
func WriteTimeline(w io.Writer, title, subtitle string, phases []Phase) error {
	type phase struct {
		Name         string
		Steps        int
		Micros       float64
		Bars, Sorted []bar
		Kernels      []Part
	}
	page := struct {
		Title, Subtitle string
		Phases          []phase
	}{Title: title, Subtitle: subtitle}
	for i := range phases {
		p := &phases[i]
		bars := p.bars()
		sorted := slices.Clone(bars)
		slices.SortStableFunc(sorted, func(a, b bar) int {
			if a.Micros > b.Micros {
				return -1
			}
			return 1
		})
		page.Phases = append(page.Phases, phase{p.Name, p.Steps, 1e6 * p.Seconds(), bars, sorted, p.parts()})
	}
	return pages.ExecuteTemplate(w, "timeline.html", page)
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
	encoder := json.NewEncoder(w)
	return encoder.Encode(map[string]any{"traceEvents": events, "displayTimeUnit": "ns"})
}
