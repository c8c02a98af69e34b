package dump

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
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
	"bytes": cli.FormatBytes, "decimal": decimal, "duration": duration, "tokens": tokens, "share": share, "clip": clipText,
	"percent": func(x float64) string { return fmt.Sprintf("%.3f %%", 100*x) },
	"million": func(n int64) string { return fmt.Sprintf("%.1f M", float64(n)/1e6) },
	"hex":     func(b []byte) string { return fmt.Sprintf("%x", b) },
}).ParseFS(pageFiles, "page/*.html"))

// clipText bounds what a cell of a table holds: recipes may hold factors of all columns.
func clipText(s string) string {
	const most = 300
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// frame is what all pages have: a style and scripts of our own, and a policy that admits these by their hashes and nothing else, from nowhere.
type frame struct {
	Style   template.CSS
	Scripts []template.JS
	Policy  template.HTMLAttr
}

func newFrame(scripts ...string) frame {
	f, policy := frame{Style: template.CSS(pageFile("report.css"))}, "default-src 'none'; style-src "
	policy += hashSource(string(f.Style)) + "; script-src"
	for _, name := range scripts {
		text := pageFile(name)
		f.Scripts = append(f.Scripts, template.JS(text))
		policy += " " + hashSource(text)
	}
	f.Policy = template.HTMLAttr(fmt.Sprintf(`content="%s"`, policy))
	return f
}

// hashSource admits an inline text (Content Security Policy, section 2.3.1).
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func pageFile(name string) string {
	data, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(data)
}

// page is what report.html is made of.
type page struct {
	*Plan
	frame
	Data     pageData
	Missing  []string    // what can not be drawn, and why
	Memory   []*Memory   // of each program, at the server's default settings
	Live     []*Live     // activations over a step
	Code     []codeTable // of GPU targets
	Accuracy *accuracy
}

// accuracy is what a build wrote of the error of quantized weights.
type accuracy struct {
	WeightError float64 `json:"weight_error"`
	Method      string  `json:"method"`
	Text        *struct {
		PPL    float64  `json:"ppl"`
		PPLRef *float64 `json:"ppl_ref"`
		KL     *float64 `json:"kl"`
	} `json:"text"`
	Weights []struct {
		Name, Format string
		Error        float64
		Output       float64 `json:"output_error"`
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
	data := page{Plan: r, frame: newFrame("graph.js", "report.js"), Accuracy: r.accuracy()}
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
	for i := range r.Programs {
		program, err := p.Program(r.Programs[i].Function, r.Programs[i].Target)
		if err != nil {
			return err
		}
		live, err := newLive(p, program, Steps[len(Steps)-1])
		if err != nil {
			return err
		}
		data.Live = append(data.Live, live)
	}
	data.drawPlan(p)
	if err := data.addCode(p); err != nil {
		return err
	}
	return pages.ExecuteTemplate(w, "report.html", data)
}

// Bar is a rectangle of a plot that is 1000 wide and 100 high.
type Bar struct {
	X, Y, W, H float64
	Title      string
}

// Most is the greatest error of a weight.
func (a *accuracy) Most() float64 {
	most := 0.0
	for _, w := range a.Weights {
		most = max(most, w.Error)
	}
	return most
}

// Bars plots the errors.
func (a *accuracy) Bars() []Bar {
	most := a.Most()
	if most == 0 {
		return nil
	}
	wide := 1000 / float64(len(a.Weights))
	var bars []Bar
	for i, w := range a.Weights {
		high := 100 * w.Error / most
		bars = append(bars, Bar{wide * (float64(i) + 0.1), 100 - high, wide * 0.8, high, fmt.Sprintf("%s (%s): %.3f %%", w.Name, w.Format, 100*w.Error)})
	}
	return bars
}
