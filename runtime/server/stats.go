package server

import (
	_ "embed" // the page's parts
	"time"

	"github.com/valyala/fasthttp"

	"llmc/runtime"
	"llmc/runtime/metrics"
)

// The page of figures is one document, as the chat page is.
var (
	//go:embed page/stats.html
	statsHTML string
	//go:embed page/stats.css
	statsCSS string
	//go:embed page/stats.js
	statsJS string
)

var statsDocument, statsPolicy = assemblePage(statsHTML, statsCSS, statsJS)

// statsPage answers GET /stats.
func (s *Server) statsPage(c *fasthttp.RequestCtx) error {
	showPage(c, statsDocument, statsPolicy)
	return nil
}

type statsAnswer struct {
	Version string       `json:"version"`
	Time    float64      `json:"time"` // Unix seconds
	Models  []modelStats `json:"models"`
}

// modelStats are the figures of one model. Totals and distributions are since the start: whoever reads them twice has those of the time between.
type modelStats struct {
	Name        string                          `json:"name"`
	UpSeconds   float64                         `json:"up_seconds"`
	Running     int                             `json:"running"`
	Waiting     int                             `json:"waiting"`
	KV          *kvStats                        `json:"kv,omitempty"` // of models that have a cache
	Totals      map[string]float64              `json:"totals"`
	StepSeconds map[string]float64              `json:"step_seconds"`
	Latencies   map[string]metrics.Distribution `json:"latencies"`
	Joules      *float64                        `json:"energy_joules,omitempty"` // where it can be read
	Kernels     []kernelStats                   `json:"kernels"`
	Health      string                          `json:"health"` // ok, or what is wrong
}

type kvStats struct {
	Held     int `json:"held"`
	Cached   int `json:"cached"`
	Pages    int `json:"pages"`
	PageSize int `json:"page_size"`
}

type kernelStats struct {
	Kernel   string  `json:"kernel"`
	Launches uint64  `json:"launches"`
	Seconds  float64 `json:"seconds"`
}

// watched is a backend that can time its kernels, which it does for a while when it is asked for the times.
type watched interface{ Kernels() []runtime.KernelTime }

// stats answers GET /stats/data.
func (s *Server) stats(c *fasthttp.RequestCtx) error {
	answer := statsAnswer{Version: s.config.Version, Time: float64(time.Now().UnixMicro()) / 1e6}
	for _, m := range s.models.current() {
		if m.Adapter != nil || m.Node != nil {
			continue
		}
		answer.Models = append(answer.Models, m.present())
	}
	c.Response.Header.Set("Cache-Control", "no-store")
	writeJSON(c, answer)
	return nil
}

func (m *Model) present() modelStats {
	f := m.Metrics.Figures()
	st := modelStats{
		Name: m.Name, UpSeconds: f.UpFor.Seconds(), Running: f.Load.Running, Waiting: f.Load.Waiting,
		Totals: f.Totals, StepSeconds: f.StepSeconds, Latencies: f.Latencies, Health: "ok", Kernels: []kernelStats{},
	}
	if f.Pages > 0 {
		st.KV = &kvStats{f.Load.Held, f.Load.Cached, f.Pages, f.PageSize}
	}
	if f.Load.Joules >= 0 {
		st.Joules = &f.Load.Joules
	}
	if err := m.health(); err != nil {
		st.Health = m.stuck().message
	}
	if w, ok := m.Backend.(watched); ok {
		for _, k := range w.Kernels() {
			st.Kernels = append(st.Kernels, kernelStats{k.Kernel, k.Launches, k.Seconds})
		}
	}
	return st
}
