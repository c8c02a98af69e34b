package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"llmc/runtime"
)

// ModelOptions describe a served model to its metrics.
type ModelOptions struct {
	Name       string      // label model_name
	MaxContext int         // longest sequence, for the buckets of lengths
	PageSize   int         // positions of one KV page
	Pages      int         // pages of the KV cache; 0: the model has none that outlives a step
	Load       func() Load // called at every scrape; it must not block
}

// Model observes one served model. All methods may be called at any time from any goroutine.
type Model struct {
	name    string
	started time.Time
	load    *loadCollector

	// Fed by the server.
	firstToken, nextToken, perToken, endToEnd prometheus.Histogram
	promptLen, outputLen, maxTokens, choices  prometheus.Histogram
	computed, longest, validated              prometheus.Histogram
	promptTokens, cachedTokens, outputTokens  prometheus.Counter
	success, rejections                       map[string]prometheus.Counter
	// Fed by the engine.
	stepTokens                        prometheus.Histogram
	queued, prefill, decode, inferred prometheus.Histogram
	steps                             stepMetrics
}

// Reasons with which requests end or are turned away: the values of the labels finished_reason and reason.
var (
	finishReasons = []string{"stop", "length", "abort", "error"}
	rejectReasons = []string{"queue_full", "draining", "deadline_unreachable"}
)

// Model adds the metrics of a model, and the function that ends reading its load. Where a model of that name is observed already, versions or a successor of it,
// they count together: totals go on, loads are added. Buckets are those of the first.
func (r *Registry) Model(o ModelOptions) (m *Model, leave func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m = r.models[o.Name]
	if m == nil {
		if before := r.inferences[o.Name]; before != nil { // an ensemble was called so
			r.prom.Unregister(before)
			delete(r.inferences, o.Name)
		}
		m = r.newModel(o)
		r.models[o.Name] = m
	}
	return m, m.load.read(o)
}

func (r *Registry) newModel(o ModelOptions) *Model {
	f := factory{prom: r.prom, space: namespace, labels: prometheus.Labels{"model_name": o.Name, "engine": "0"}}
	own := factory{prom: r.prom, space: ownNamespace, labels: prometheus.Labels{"model_name": o.Name}}
	lengths := lengthBuckets(o.MaxContext)
	m := &Model{
		name: o.Name, started: time.Now(),
		firstToken: f.histogram("time_to_first_token_seconds", "Time from arrival to the first token.", firstTokenBuckets),
		nextToken:  f.histogram("inter_token_latency_seconds", "Time between consecutive tokens.", nextTokenBuckets),
		perToken:   f.histogram("request_time_per_output_token_seconds", "Mean time of a request's tokens after the first.", nextTokenBuckets),
		endToEnd:   f.histogram("e2e_request_latency_seconds", "Time from arrival to the last token.", requestBuckets),

		promptLen: f.histogram("request_prompt_tokens", "Prompt tokens of a request.", lengths),
		outputLen: f.histogram("request_generation_tokens", "Output tokens of a request.", lengths),
		maxTokens: f.histogram("request_params_max_tokens", "The max_tokens that requests ask for.", lengths),
		choices:   f.histogram("request_params_n", "The n that requests ask for.", choiceBuckets),
		computed:  f.histogram("request_prefill_kv_computed_tokens", "Prompt tokens of a request that were not found in the prefix cache.", lengths),
		longest:   f.histogram("request_max_num_generation_tokens", "Output tokens of the longest choice of a request.", lengths),
		validated: own.histogram("request_validation_seconds", "Time to read a request, lay its messages out, cut them into tokens and compile its constraint.", hostBuckets),

		promptTokens: f.counter("prompt_tokens_total", "Prompt tokens taken in.", nil),
		cachedTokens: f.counter("prompt_tokens_cached_total", "Prompt tokens found in the prefix cache.", nil),
		outputTokens: f.counter("generation_tokens_total", "Tokens generated.", nil),
		success:      f.counters("request_success_total", "Ended requests.", "finished_reason", finishReasons),
		rejections:   f.counters("admission_rejections_total", "Requests turned away.", "reason", rejectReasons),

		stepTokens: f.histogram("iteration_tokens_total", "Tokens of a step.", stepTokenBuckets),
		queued:     f.histogram("request_queue_time_seconds", "Time from arrival to the first step.", requestBuckets),
		prefill:    f.histogram("request_prefill_time_seconds", "Time from the first step to the first token.", requestBuckets),
		decode:     f.histogram("request_decode_time_seconds", "Time from the first to the last token.", requestBuckets),
		inferred:   f.histogram("request_inference_time_seconds", "Time from the first step to the last token.", requestBuckets),
		steps:      newStepMetrics(own),
	}
	m.load = newLoadCollector(f.labels, o)
	r.prom.MustRegister(m.load, newAliases(m))
	return m
}

// Adapters has the adapters beside the model told, by a function that must not block.
func (m *Model) Adapters(told func() Adapters) {
	m.load.mu.Lock()
	defer m.load.mu.Unlock()
	m.load.adapters = told
}

// FirstToken observes the first token of a generation, and with it that the whole prompt has been taken in.
func (m *Model) FirstToken(sinceArrival time.Duration, promptTokens int) {
	m.firstToken.Observe(sinceArrival.Seconds())
	m.promptTokens.Add(float64(promptTokens))
	m.outputTokens.Inc()
}

// NextToken observes another token of a generation.
func (m *Model) NextToken(sinceLast time.Duration) {
	m.nextToken.Observe(sinceLast.Seconds())
	m.outputTokens.Inc()
}

// Generation is what one ended generation amounted to.
type Generation struct {
	Finish                                string // stop, length, abort, error
	PromptTokens, CachedTokens, OutTokens int
	MaxTokens                             int           // asked for; 0: left open
	SinceArrival, SinceFirstToken         time.Duration // at the last token
}

// Finished observes the end of a generation.
func (m *Model) Finished(g Generation) {
	if c, ok := m.success[g.Finish]; ok {
		c.Inc()
	}
	m.endToEnd.Observe(g.SinceArrival.Seconds())
	m.promptLen.Observe(float64(g.PromptTokens))
	m.outputLen.Observe(float64(g.OutTokens))
	m.computed.Observe(float64(g.PromptTokens - g.CachedTokens))
	m.cachedTokens.Add(float64(g.CachedTokens))
	if g.MaxTokens > 0 {
		m.maxTokens.Observe(float64(g.MaxTokens))
	}
	if g.OutTokens > 1 {
		m.perToken.Observe(g.SinceFirstToken.Seconds() / float64(g.OutTokens-1))
	}
}

// Longest observes the output tokens of the longest choice of a request, when all have ended.
func (m *Model) Longest(tokens int) { m.longest.Observe(float64(tokens)) }

// Encoded observes a request of an encoder that was answered: the tokens of its texts, and the time from its arrival.
func (m *Model) Encoded(tokens int, sinceArrival time.Duration) {
	m.success["stop"].Inc()
	m.endToEnd.Observe(sinceArrival.Seconds())
	m.promptLen.Observe(float64(tokens))
	m.promptTokens.Add(float64(tokens))
}

// Requested observes the number of choices that a request asks for.
func (m *Model) Requested(choices int) { m.choices.Observe(float64(choices)) }

// Validated observes how long it took to understand a request.
func (m *Model) Validated(took time.Duration) { m.validated.Observe(took.Seconds()) }

// Rejected observes a request turned away before any work, by one of rejectReasons.
func (m *Model) Rejected(reason string) {
	if c, ok := m.rejections[reason]; ok {
		c.Inc()
	}
}

// Step observes one step of the engine.
func (m *Model) Step(f runtime.StepFacts) {
	m.stepTokens.Observe(float64(f.Tokens))
	m.steps.observe(f)
}

// Phases observes where the time of an ended sequence went.
func (m *Model) Phases(queued, prefill, decode time.Duration) {
	m.queued.Observe(queued.Seconds())
	m.prefill.Observe(prefill.Seconds())
	m.decode.Observe(decode.Seconds())
	m.inferred.Observe((prefill + decode).Seconds())
}
