package metrics

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// loadCollector reads the loads of one name once a scrape, so that their rows belong together.
type loadCollector struct {
	descs   []*prometheus.Desc // one for each of loadRows
	cache   *prometheus.Desc
	placed  *prometheus.Desc
	loras   *prometheus.Desc
	skipped *prometheus.Desc
	energy  *prometheus.Desc

	mu       sync.Mutex
	adapters func() Adapters // nil: the model has none
	sources  []*ModelOptions // oldest first
	past     *Load           // totals of those that are read no more; nil: there were none
}

func newLoadCollector(labels prometheus.Labels, o ModelOptions) *loadCollector {
	c := &loadCollector{}
	helps := map[string]string{}
	for _, row := range loadRows {
		c.descs = append(c.descs, describe(helps, row.name, row.help, o.Name, row.labels))
	}
	c.cache = prometheus.NewDesc(namespace+"cache_config_info", "Shape of the KV cache; a block is a page.", []string{"block_size", "num_gpu_blocks"}, labels)
	c.placed = describe(helps, namespace+"spec_decode_num_accepted_tokens_per_pos_total", "Guessed tokens that were right, by their place in the chain.", o.Name, nil, "position")
	c.loras = describe(helps, namespace+"lora_requests_info", "Adapters that requests run with and wait for; the value is the time.", o.Name, nil,
		"max_lora", "running_lora_adapters", "waiting_lora_adapters")
	c.skipped = describe(helps, "tgi_request_skipped_tokens", "Guessed tokens that were right, of each chain that was verified.", o.Name, nil)
	c.energy = describe(helps, ownNamespace+"energy_joules_total", "Energy that the processors took while steps ran.", o.Name, nil)
	return c
}

// Describe implements prometheus.Collector.
func (c *loadCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
	out <- c.cache
	out <- c.placed
	out <- c.loras
	out <- c.skipped
	out <- c.energy
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
			past := source.Load().totals()
			if c.past != nil {
				past = c.past.add(past)
			}
			c.past = &past
		}
	}
}

// load reads what there is; observed is false where nobody tells of any.
func (c *loadCollector) load() (l told, observed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.Joules = -1
	if c.past != nil {
		l.Load, observed = *c.past, true
	}
	for _, source := range c.sources {
		l.pageSize = source.PageSize
		l.pages += source.Pages
		if source.Load != nil {
			l.Load, observed = l.add(source.Load()), true
		}
	}
	return l, observed
}

func (c *loadCollector) toldAdapters() func() Adapters {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.adapters
}

// Collect implements prometheus.Collector.
func (c *loadCollector) Collect(out chan<- prometheus.Metric) {
	if adapters := c.toldAdapters(); adapters != nil {
		a := adapters()
		out <- prometheus.MustNewConstMetric(c.loras, gauge, float64(time.Now().UnixMilli())/1000,
			strconv.Itoa(a.Most), strings.Join(a.Running, ","), strings.Join(a.Waiting, ","))
	}
	load, observed := c.load()
	if load.pages > 0 {
		out <- prometheus.MustNewConstMetric(c.cache, gauge, 1, strconv.Itoa(load.pageSize), strconv.Itoa(load.pages))
	}
	if !observed {
		return
	}
	for i, row := range loadRows {
		if value := row.get(load); !math.IsNaN(value) {
			out <- prometheus.MustNewConstMetric(c.descs[i], row.kind, value)
		}
	}
	for place, n := range load.AcceptedAt {
		if n > 0 {
			out <- prometheus.MustNewConstMetric(c.placed, counter, float64(n), strconv.Itoa(place))
		}
	}
	if load.Joules >= 0 {
		out <- prometheus.MustNewConstMetric(c.energy, counter, load.Joules)
	}
	out <- c.skippedTokens(&load.Load)
}

// skippedTokens makes a histogram of what is counted by places: as many chains had at most k right guesses as had none at place k.
func (c *loadCollector) skippedTokens(l *Load) prometheus.Metric {
	buckets := map[float64]uint64{}
	for place, n := range l.AcceptedAt {
		buckets[float64(place)] = l.Drafts - min(n, l.Drafts)
	}
	return prometheus.MustNewConstHistogram(c.skipped, l.Drafts, float64(l.AcceptedTokens), buckets)
}
