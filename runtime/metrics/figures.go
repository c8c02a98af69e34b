package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Distribution is a histogram as it stands: how many observations were at most each bound, how many there were, and their sum.
type Distribution struct {
	Bounds []float64 `json:"bounds"`
	Counts []uint64  `json:"counts"`
	Count  uint64    `json:"count"`
	Sum    float64   `json:"sum"`
}

// Figures are what a page shows of a model. Totals only grow.
type Figures struct {
	Load        Load
	Pages       int
	PageSize    int
	UpFor       time.Duration
	Totals      map[string]float64
	Latencies   map[string]Distribution
	StepSeconds map[string]float64 // of the device and of the host, of all steps
}

// Figures returns the present figures. It takes no lock of the step loop.
func (m *Model) Figures() Figures {
	load, _ := m.load.load()
	f := Figures{Pages: load.pages, PageSize: load.pageSize, UpFor: time.Since(m.started), Load: load.Load}
	f.Totals = map[string]float64{
		"prompt_tokens": totalOf(m.promptTokens), "cached_tokens": totalOf(m.cachedTokens), "output_tokens": totalOf(m.outputTokens),
		"steps": countOf(m.steps.host), "failed_steps": totalOf(m.steps.failures),
	}
	for why, c := range m.success {
		f.Totals[why] = totalOf(c)
	}
	for _, c := range m.rejections {
		f.Totals["rejected"] += totalOf(c)
	}
	f.StepSeconds = map[string]float64{"device": sumOf(m.steps.device[0]) + sumOf(m.steps.device[1]), "host": sumOf(m.steps.host)}
	f.Latencies = map[string]Distribution{}
	for name, h := range map[string]prometheus.Histogram{
		"first_token": m.firstToken, "next_token": m.nextToken, "queue": m.queued, "request": m.endToEnd,
		"step_decode": m.steps.device[0], "step_prompt": m.steps.device[1], "step_host": m.steps.host,
	} {
		f.Latencies[name] = distribution(h)
	}
	return f
}

func distribution(h prometheus.Histogram) Distribution {
	c := content(h).Histogram
	d := Distribution{Count: c.GetSampleCount(), Sum: c.GetSampleSum()}
	for _, b := range c.Bucket {
		d.Bounds, d.Counts = append(d.Bounds, b.GetUpperBound()), append(d.Counts, b.GetCumulativeCount())
	}
	return d
}
