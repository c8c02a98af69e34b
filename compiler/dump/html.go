package dump

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"

	"llmc/engine"
	"llmc/internal/cli"
)

//go:embed page
var pageFiles embed.FS

// pages are the HTML pages. The template engine escapes every value for the place where it stands: names of weights, options and IR come
// from files that nobody has checked.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"bytes": cli.FormatBytes, "decimal": decimal, "duration": duration, "tokens": tokens, "share": share,
	"percent": func(x float64) string { return fmt.Sprintf("%.3f %%", 100*x) },
	"million": func(n int64) string { return fmt.Sprintf("%.1f M", float64(n)/1e6) },
	"hex":     func(b []byte) string { return fmt.Sprintf("%x", b) },
}).ParseFS(pageFiles, "page/*"))

// page is what report.html is made of.
type page struct {
	*Plan
	Memory   []*Memory // of each program, at the server's default settings
	Accuracy *accuracy
}

// accuracy is what a build wrote of the error of quantized weights.
type accuracy struct {
	WeightError float64 `json:"weight_error"`
	Weights     []struct {
		Name, Format string
		Error        float64
	} `json:"weights"`
}

// accuracy reads the plan's own section, nil when there is none or it is of another kind.
func (r *Plan) accuracy() *accuracy {
	var a accuracy
	if len(r.Accuracy) == 0 || json.Unmarshal(r.Accuracy, &a) != nil {
		return nil
	}
	return &a
}

// Part is a launch's part of its step, for bars.
type Part struct {
	Cost
	Share int // of the longest launch, percent
}

// Parts relates the launches' costs of step i to the longest.
func (p *Program) Parts(step int) []Part {
	longest := 0.0
	for _, l := range p.Launches {
		longest = max(longest, l.Steps[step].weight())
	}
	parts := make([]Part, len(p.Launches))
	for i, l := range p.Launches {
		parts[i].Cost = l.Steps[step]
		if longest > 0 {
			parts[i].Share = int(100*l.Steps[step].weight()/longest + 0.5)
		}
	}
	return parts
}

// weight is what bars show: time, or bytes where no time is predicted.
func (c Cost) weight() float64 {
	if c.Seconds > 0 {
		return c.Seconds
	}
	return c.Bytes
}

// WriteHTML writes the report as one page that needs nothing else. memory says what a program takes at the server's default settings.
func (r *Plan) WriteHTML(w io.Writer, p *engine.Plan, memory func(*engine.Program) (*Memory, error)) error {
	data := page{Plan: r}
	for _, target := range r.Targets {
		program, err := p.Program(p.Main(), target)
		if err != nil {
			return err
		}
		m, err := memory(program)
		if err != nil {
			return err
		}
		data.Memory = append(data.Memory, m)
	}
	data.Accuracy = r.accuracy()
	return pages.ExecuteTemplate(w, "report.html", data)
}
