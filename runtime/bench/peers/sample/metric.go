package sample

import "strings"

// Metric is one kind of figure.
type Metric struct {
	Name  string
	Title string // with %d where the size belongs
	Unit  string
	Less  bool   // less is better
	Limit string // what a sample's share is a share of
	Plain bool   // it explains others; nobody is ahead in it
	Fixed bool   // it does not vary: one sample says all

	AtBits bool // peers are compared in it at equal bits of their models
}

// Metrics lists all kinds, in the order of the tables.
var Metrics = []Metric{
	{Name: "read", Title: "read, set of %d MiB", Unit: "GB/s"},
	{Name: "peak", Title: "peak", Unit: "G op/s"},

	{Name: "decode", Title: "decode, %d together", Unit: "tok/s", Limit: Bandwidth},
	{Name: "prefill", Title: "prefill of %d", Unit: "tok/s", Limit: Arithmetic},
	{Name: "context", Title: "decode at a context of %d", Unit: "tok/s", Limit: Bandwidth},

	{Name: "stream", Title: "%d streaming clients", Unit: "tok/s"},
	{Name: "first_p50", Title: "%d clients: first token, p50", Unit: "ms", Less: true},
	{Name: "first_p99", Title: "%d clients: first token, p99", Unit: "ms", Less: true},
	{Name: "between_p50", Title: "%d clients: between tokens, p50", Unit: "ms", Less: true},
	{Name: "between_p99", Title: "%d clients: between tokens, p99", Unit: "ms", Less: true},
	{Name: "arrival_before", Title: "%d streams alone: between tokens, p99", Unit: "ms", Less: true},
	{Name: "arrival_p99", Title: "streams while a prompt of %d arrives: between tokens, p99", Unit: "ms", Less: true},
	{Name: "arrival_times", Title: "those p99 while a prompt of %d arrives, over those alone", Unit: "times", Less: true},
	{Name: "arrival_first", Title: "that prompt of %d: first token", Unit: "ms", Less: true},

	{Name: "host_token", Title: "%d clients: processors a token streamed, model included", Unit: "us", Less: true},
	{Name: "host_stream", Title: "%d clients: processors a stream, model included", Unit: "ms", Less: true},
	{Name: "host_rate", Title: "%d clients, streams for processors' times", Unit: "tok/s", Plain: true},

	{Name: "start_server", Title: "server: start to first token", Unit: "s", Less: true},
	{Name: "memory_server", Title: "server: peak memory after %d clients", Unit: "MB", Less: true},
	{Name: "start", Title: "program: start to first token", Unit: "s", Less: true},
	{Name: "memory", Title: "program: peak memory, one sequence", Unit: "MB", Less: true},
	{Name: "build", Title: "conversion from the checkpoint", Unit: "s", Less: true},
	{Name: "build_memory", Title: "conversion: peak memory", Unit: "MB", Less: true},

	{Name: "file", Title: "weights on disk", Unit: "MB", Less: true, Plain: true, Fixed: true},
	{Name: "bits", Title: "bits a parameter", Unit: "bit", Less: true, Plain: true, Fixed: true},
	{Name: "ppl", Title: "perplexity, %d windows", Unit: "", Less: true, Fixed: true, AtBits: true},
}

// Limits of the machine that shares are taken of.
const (
	Bandwidth  = "of the bandwidth"
	Arithmetic = "of the peak"
)

// FindMetric returns the row of that name.
func FindMetric(name string) (Metric, bool) {
	for _, m := range Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// HasSize tells whether figures of the metric have a size.
func (m Metric) HasSize() bool { return strings.Contains(m.Title, "%d") }

// Gain is how many times better a is than b.
func (m Metric) Gain(a, b float64) float64 {
	if m.Less {
		a, b = b, a
	}
	if b == 0 {
		return 0
	}
	return a / b
}
