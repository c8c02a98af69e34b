package metrics

import (
	"maps"
	"slices"
	"strconv"
	"sync"

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

// add returns two loads together; of parts of a whole the greater.
func (l Load) add(o Load) Load {
	l.Running += o.Running
	l.Waiting += o.Waiting
	l.KVUsage = max(l.KVUsage, o.KVUsage)
	l.Preemptions += o.Preemptions
	l.PrefixQueries += o.PrefixQueries
	l.PrefixHits += o.PrefixHits
	l.Drafts += o.Drafts
	l.DraftTokens += o.DraftTokens
	l.AcceptedTokens += o.AcceptedTokens
	return l
}

// totals leaves what only grows.
func (l Load) totals() Load {
	l.Running, l.Waiting, l.KVUsage = 0, 0, 0
	return l
}

// loadCollector reads the loads of one name once a scrape, so that their rows belong together.
type loadCollector struct {
	descs []*prometheus.Desc // one for each of loadRows
	cache *prometheus.Desc

	mu      sync.Mutex
	sources []*ModelOptions // oldest first
	past    Load            // totals of those that are read no more
}

func newLoadCollector(labels prometheus.Labels) *loadCollector {
	c := &loadCollector{}
	for _, row := range loadRows {
		all := maps.Clone(labels)
		if row.reason != "" {
			all["reason"] = row.reason
		}
		c.descs = append(c.descs, prometheus.NewDesc(namespace+row.name, row.help, nil, all))
	}
	c.cache = prometheus.NewDesc(namespace+"cache_config_info", "Shape of the KV cache; a block is a page.", []string{"block_size", "num_gpu_blocks"}, labels)
	return c
}

// read adds a load; leave ends it, and keeps its totals.
func (c *loadCollector) read(o ModelOptions) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	source := &o
	c.sources = append(c.sources, source)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		before := len(c.sources)
		c.sources = slices.DeleteFunc(c.sources, func(other *ModelOptions) bool { return other == source })
		if len(c.sources) < before && source.Load != nil {
			c.past = c.past.add(source.Load().totals())
		}
	}
}

// Describe implements prometheus.Collector.
func (c *loadCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
	out <- c.cache
}

// Collect implements prometheus.Collector.
func (c *loadCollector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	load, observed := c.past, false
	for _, source := range c.sources {
		if source.Load != nil {
			load, observed = load.add(source.Load()), true
		}
	}
	if n := len(c.sources); n > 0 {
		newest := c.sources[n-1]
		out <- prometheus.MustNewConstMetric(c.cache, prometheus.GaugeValue, 1, strconv.Itoa(newest.PageSize), strconv.Itoa(newest.Pages))
	}
	if !observed && load == (Load{}) {
		return
	}
	for i, row := range loadRows {
		out <- prometheus.MustNewConstMetric(c.descs[i], row.kind, row.get(load))
	}
}
