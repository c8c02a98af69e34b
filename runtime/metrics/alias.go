package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// alias is a metric that others have for what is observed under another name: it is made when it is scraped, so that it costs nothing before.
type alias struct {
	name, help string
	labels     prometheus.Labels // besides those of the name's family
	kind       prometheus.ValueType
	value      func(*Model) float64              // nil: a histogram
	histogram  func(*Model) prometheus.Histogram // whose values are taken scale times
	scale      float64
}

// aliasCollector makes the aliases of a model.
type aliasCollector struct {
	model *Model
	rows  []alias
	descs []*prometheus.Desc // of rows
}

func newAliases(m *Model) *aliasCollector {
	c := &aliasCollector{model: m}
	helps := map[string]string{}
	for _, table := range [][]alias{vllmAliases, tgiAliases, tritonAliases} {
		for _, row := range table {
			c.rows = append(c.rows, row)
			c.descs = append(c.descs, describe(helps, row.name, row.help, m.name, row.labels))
		}
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *aliasCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *aliasCollector) Collect(out chan<- prometheus.Metric) {
	for i := range c.rows {
		row := &c.rows[i]
		if row.value != nil {
			out <- prometheus.MustNewConstMetric(c.descs[i], row.kind, row.value(c.model))
			continue
		}
		out <- copied{c.descs[i], row.histogram(c.model), row.scale}
	}
}

// copied is a histogram under another name and in another unit.
type copied struct {
	desc  *prometheus.Desc
	of    prometheus.Histogram
	scale float64
}

// Desc implements prometheus.Metric.
func (c copied) Desc() *prometheus.Desc { return c.desc }

// Write implements prometheus.Metric.
func (c copied) Write(out *dto.Metric) error {
	if err := c.of.Write(out); err != nil {
		return err
	}
	out.Label = prometheus.MakeLabelPairs(c.desc, nil)
	h := out.Histogram
	*h.SampleSum *= c.scale
	for _, b := range h.Bucket {
		*b.UpperBound *= c.scale
	}
	return nil
}

// content is what a metric holds now.
func content(m prometheus.Metric) *dto.Metric {
	out := &dto.Metric{}
	if err := m.Write(out); err != nil {
		panic(err) // histograms and counters can be written
	}
	return out
}

func sumOf(h prometheus.Histogram) float64   { return content(h).Histogram.GetSampleSum() }
func countOf(h prometheus.Histogram) float64 { return float64(content(h).Histogram.GetSampleCount()) }
func totalOf(c prometheus.Counter) float64   { return content(c).Counter.GetValue() }
