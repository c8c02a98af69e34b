package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// namespace is vLLM's, colon included.
const namespace = "vllm:"

// Load is a snapshot of an engine.
type Load struct {
	Running int     // sequences that take part in steps
	Waiting int     // requests in the queue
	KVUsage float64 // share of the KV pages in use, 0 to 1

	// Totals since the start.
	Preemptions   uint64
	PrefixQueries uint64 // prompt tokens looked up in the prefix cache
	PrefixHits    uint64 // prompt tokens found there

	Drafts, DraftTokens, AcceptedTokens uint64 // chains of guesses that were verified, guesses in them, those that were right
}

// loadRows says how a Load is told to Prometheus.
var loadRows = []struct {
	name, help string
	kind       prometheus.ValueType
	reason     string // value of the label reason; "": no such label
	get        func(Load) float64
}{
	{"num_requests_running", "Sequences that take part in steps.", prometheus.GaugeValue, "", func(l Load) float64 { return float64(l.Running) }},
	{"num_requests_waiting", "Requests in the queue.", prometheus.GaugeValue, "", func(l Load) float64 { return float64(l.Waiting) }},
	{"num_requests_waiting_by_reason", "Requests in the queue, by what they wait for.", prometheus.GaugeValue, "capacity",
		func(l Load) float64 { return float64(l.Waiting) }},
	{"kv_cache_usage_perc", "Share of the KV cache in use, 1 is all.", prometheus.GaugeValue, "", func(l Load) float64 { return l.KVUsage }},
	{"num_preemptions_total", "Sequences put back into the queue.", prometheus.CounterValue, "", func(l Load) float64 { return float64(l.Preemptions) }},
	{"prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.", prometheus.CounterValue, "",
		func(l Load) float64 { return float64(l.PrefixQueries) }},
	{"prefix_cache_hits_total", "Prompt tokens found in the prefix cache.", prometheus.CounterValue, "",
		func(l Load) float64 { return float64(l.PrefixHits) }},
	{"spec_decode_num_drafts_total", "Chains of guessed tokens that were verified.", prometheus.CounterValue, "",
		func(l Load) float64 { return float64(l.Drafts) }},
	{"spec_decode_num_draft_tokens_total", "Guessed tokens that were verified.", prometheus.CounterValue, "",
		func(l Load) float64 { return float64(l.DraftTokens) }},
	{"spec_decode_num_accepted_tokens_total", "Guessed tokens that were right.", prometheus.CounterValue, "",
		func(l Load) float64 { return float64(l.AcceptedTokens) }},
}

// loadCollector reads a Load once a scrape, so that its rows belong together.
type loadCollector struct {
	load  func() Load
	descs []*prometheus.Desc // one for each of loadRows
	cache prometheus.Metric
}

func newLoadCollector(labels prometheus.Labels, o ModelOptions) *loadCollector {
	c := &loadCollector{load: o.Load}
	for _, row := range loadRows {
		all := prometheus.Labels{}
		for k, v := range labels {
			all[k] = v
		}
		if row.reason != "" {
			all["reason"] = row.reason
		}
		c.descs = append(c.descs, prometheus.NewDesc(namespace+row.name, row.help, nil, all))
	}
	cacheLabels := prometheus.Labels{
		"model_name": o.Name, "engine": labels["engine"],
		"block_size": strconv.Itoa(o.PageSize), "num_gpu_blocks": strconv.Itoa(o.Pages),
	}
	c.cache = prometheus.MustNewConstMetric(
		prometheus.NewDesc(namespace+"cache_config_info", "Shape of the KV cache; a block is a page.", nil, cacheLabels), prometheus.GaugeValue, 1)
	return c
}

// Describe implements prometheus.Collector.
func (c *loadCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
	out <- c.cache.Desc()
}

// Collect implements prometheus.Collector.
func (c *loadCollector) Collect(out chan<- prometheus.Metric) {
	out <- c.cache
	if c.load == nil {
		return
	}
	load := c.load()
	for i, row := range loadRows {
		out <- prometheus.MustNewConstMetric(c.descs[i], row.kind, row.get(load))
	}
}
