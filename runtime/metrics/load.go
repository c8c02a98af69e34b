package metrics

import (
	"maps"
	"math"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// namespace is vLLM's, colon included.
const namespace = "vllm:"

// Load is a snapshot of an engine.
type Load struct {
	Running int     // sequences that take part in steps
	Waiting int     // requests in the queue
	KVUsage float64 // share of the KV pages in use, 0 to 1
	Held    int     // KV pages of running sequences
	Cached  int     // KV pages of nobody that can be found again

	// Totals since the start.
	Preemptions   uint64
	PrefixQueries uint64 // prompt tokens looked up in the prefix cache
	PrefixHits    uint64 // prompt tokens found there

	Drafts, DraftTokens, AcceptedTokens uint64   // chains of guesses that were verified, guesses in them, those that were right
	AcceptedAt                          []uint64 // those that were right, by their place in the chain

	Joules float64 // that the processors took while steps ran, since the start; below 0: not known
}

// add returns two loads together; of parts of a whole the greater.
func (l Load) add(o Load) Load {
	l.Running += o.Running
	l.Waiting += o.Waiting
	l.KVUsage = max(l.KVUsage, o.KVUsage)
	l.Held += o.Held
	l.Cached += o.Cached
	l.Preemptions += o.Preemptions
	l.PrefixQueries += o.PrefixQueries
	l.PrefixHits += o.PrefixHits
	l.Drafts += o.Drafts
	l.DraftTokens += o.DraftTokens
	l.AcceptedTokens += o.AcceptedTokens
	at := make([]uint64, max(len(l.AcceptedAt), len(o.AcceptedAt)))
	for place := range at {
		for _, from := range [][]uint64{l.AcceptedAt, o.AcceptedAt} {
			if place < len(from) {
				at[place] += from[place]
			}
		}
	}
	l.AcceptedAt = at
	if o.Joules >= 0 {
		l.Joules = max(l.Joules, 0) + o.Joules
	}
	return l
}

// totals leaves what only grows.
func (l Load) totals() Load {
	l.Running, l.Waiting, l.KVUsage, l.Held, l.Cached = 0, 0, 0, 0, 0
	return l
}

// Adapters are those beside a model. An adapter is in both lists where only some of its requests run.
type Adapters struct {
	Most             int // that can be loaded
	Running, Waiting []string
}

// told is what metrics say of a model's present load: the snapshot, and what does not change.
type told struct {
	Load
	pageSize, pages int
}

// loadRow says how a Load is told to Prometheus.
type loadRow struct {
	name, help string
	kind       prometheus.ValueType
	labels     prometheus.Labels // besides those of the name's family
	get        func(told) float64
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// by makes labels of names and values in turn.
func by(pairs ...string) prometheus.Labels {
	labels := prometheus.Labels{}
	for i := 0; i < len(pairs); i += 2 {
		labels[pairs[i]] = pairs[i+1]
	}
	return labels
}

func running(l told) float64 { return float64(l.Running) }
func waiting(l told) float64 { return float64(l.Waiting) }

// ofCache is nothing (not a number) where there is no cache of keys and values.
func ofCache(get func(told) float64) func(told) float64 {
	return func(l told) float64 {
		if l.pages == 0 {
			return math.NaN()
		}
		return get(l)
	}
}

var (
	kvUsage = ofCache(func(l told) float64 { return l.KVUsage })
	held    = ofCache(func(l told) float64 { return float64(l.Held) })
	notHeld = ofCache(func(l told) float64 { return float64(l.pages - l.Held) })
)

// loadRows are vLLM's names, ours, and those that Text Generation Inference and Triton have for the same.
var loadRows = []loadRow{
	{"vllm:num_requests_running", "Sequences that take part in steps.", gauge, nil, running},
	{"vllm:num_requests_waiting", "Requests in the queue.", gauge, nil, waiting},
	{"vllm:num_requests_waiting_by_reason", "Requests in the queue, by what they wait for.", gauge, by("reason", "capacity"), waiting},
	{"vllm:kv_cache_usage_perc", "Share of the KV cache in use, 1 is all.", gauge, nil, kvUsage},
	{"vllm:gpu_cache_usage_perc", "The older name of kv_cache_usage_perc.", gauge, nil, kvUsage},
	{"vllm:num_preemptions_total", "Sequences put back into the queue.", counter, nil, func(l told) float64 { return float64(l.Preemptions) }},
	{"vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.", counter, nil, func(l told) float64 { return float64(l.PrefixQueries) }},
	{"vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.", counter, nil, func(l told) float64 { return float64(l.PrefixHits) }},
	{"vllm:spec_decode_num_drafts_total", "Chains of guessed tokens that were verified.", counter, nil, func(l told) float64 { return float64(l.Drafts) }},
	{"vllm:spec_decode_num_draft_tokens_total", "Guessed tokens that were verified.", counter, nil, func(l told) float64 { return float64(l.DraftTokens) }},
	{"vllm:spec_decode_num_accepted_tokens_total", "Guessed tokens that were right.", counter, nil, func(l told) float64 { return float64(l.AcceptedTokens) }},

	{"llmrun_kv_pages", "Pages of the KV cache: held by running sequences, cached for prompts that begin alike, free.", gauge, by("state", "held"),
		held},
	{"llmrun_kv_pages", "", gauge, by("state", "cached"), ofCache(func(l told) float64 { return float64(l.Cached) })},
	{"llmrun_kv_pages", "", gauge, by("state", "free"), ofCache(func(l told) float64 { return float64(l.pages - l.Held - l.Cached) })},

	{"tgi_batch_current_size", "Sequences that take part in steps.", gauge, nil, running},
	{"tgi_queue_size", "Requests in the queue.", gauge, nil, waiting},
	{"tgi_batch_current_max_tokens", "Tokens that the KV pages of running sequences have room for.", gauge, nil,
		ofCache(func(l told) float64 { return float64(l.Held * l.pageSize) })},

	{"nv_inference_pending_request_count", "Requests in the queue.", gauge, nil, waiting},
	{"nv_trt_llm_request_metrics", "Requests, by what they do.", gauge, by("request_type", "active"), func(l told) float64 { return running(l) + waiting(l) }},
	{"nv_trt_llm_request_metrics", "", gauge, by("request_type", "scheduled"), running},
	{"nv_trt_llm_request_metrics", "", gauge, by("request_type", "waiting"), waiting},
	{"nv_trt_llm_kv_cache_block_metrics", "Blocks of the KV cache, which are pages.", gauge, by("kv_cache_block_type", "max"), ofCache(func(l told) float64 { return float64(l.pages) })},
	{"nv_trt_llm_kv_cache_block_metrics", "", gauge, by("kv_cache_block_type", "free"), notHeld},
	{"nv_trt_llm_kv_cache_block_metrics", "", gauge, by("kv_cache_block_type", "used"), held},
	{"nv_trt_llm_kv_cache_block_metrics", "", gauge, by("kv_cache_block_type", "tokens_per"), ofCache(func(l told) float64 { return float64(l.pageSize) })},
	{"nv_trt_llm_kv_cache_block_metrics", "", gauge, by("kv_cache_block_type", "fraction"), kvUsage},
}

// labelsOf returns the labels that metrics of a name's family have.
func labelsOf(name, model string) prometheus.Labels {
	switch {
	case strings.HasPrefix(name, namespace):
		return by("model_name", model, "engine", "0")
	case strings.HasPrefix(name, "nv_"):
		return by("model", model, "version", "1")
	}
	return by("model_name", model)
}

// describe makes the description of a metric; rows of one name have one help.
func describe(helps map[string]string, name, help, model string, labels prometheus.Labels, variable ...string) *prometheus.Desc {
	if help == "" {
		help = helps[name]
	}
	helps[name] = help
	all := labelsOf(name, model)
	maps.Copy(all, labels)
	return prometheus.NewDesc(name, help, variable, all)
}
