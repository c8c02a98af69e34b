package metrics

import (
	"maps"

	"github.com/prometheus/client_golang/prometheus"
)

// factory makes registered metrics with the labels of one model, under the names of one namespace.
type factory struct {
	prom   *prometheus.Registry
	space  string
	labels prometheus.Labels
}

func (f factory) with(more prometheus.Labels) prometheus.Labels {
	labels := maps.Clone(f.labels)
	maps.Copy(labels, more)
	return labels
}

func (f factory) histogram(name, help string, buckets []float64) prometheus.Histogram {
	return f.labeled(name, help, buckets, nil)
}

func (f factory) labeled(name, help string, buckets []float64, more prometheus.Labels) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: f.space + name, Help: help, Buckets: buckets, ConstLabels: f.with(more)})
	f.prom.MustRegister(h)
	return h
}

func (f factory) counter(name, help string, more prometheus.Labels) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: f.space + name, Help: help, ConstLabels: f.with(more)})
	f.prom.MustRegister(c)
	return c
}

// counters makes one counter for every value of a label, so that observing looks nothing up under a lock.
func (f factory) counters(name, help, label string, values []string) map[string]prometheus.Counter {
	all := make(map[string]prometheus.Counter, len(values))
	for _, v := range values {
		all[v] = f.counter(name, help, prometheus.Labels{label: v})
	}
	return all
}
