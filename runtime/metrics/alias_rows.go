package metrics

import "github.com/prometheus/client_golang/prometheus"

// vllmAliases are names that vLLM had before, which dashboards still read.
var vllmAliases = []alias{
	{name: "vllm:time_per_output_token_seconds", help: "The older name of inter_token_latency_seconds.", scale: 1,
		histogram: func(m *Model) prometheus.Histogram { return m.nextToken }},
}

// succeeded counts generations that ended as they should.
func succeeded(m *Model) float64 { return totalOf(m.success["stop"]) + totalOf(m.success["length"]) }

// tgiAliases are the names of Text Generation Inference for requests and batches. A batch is a step; one that takes in prompts is its prefill.
var tgiAliases = []alias{
	{name: "tgi_request_count", help: "Requests taken.", kind: counter, value: func(m *Model) float64 { return countOf(m.choices) }},
	{name: "tgi_request_success", help: "Generations that ended as they should.", kind: counter, value: succeeded},
	{name: "tgi_request_failure", help: "Requests turned away, and generations that failed.", kind: counter, labels: by("err", "overloaded"),
		value: func(m *Model) float64 {
			return totalOf(m.rejections["queue_full"]) + totalOf(m.rejections["draining"])
		}},
	{name: "tgi_request_failure", kind: counter, labels: by("err", "generation"), value: func(m *Model) float64 { return totalOf(m.success["error"]) }},

	{name: "tgi_request_duration", help: "Seconds from arrival to the last token.", scale: 1, histogram: func(m *Model) prometheus.Histogram { return m.endToEnd }},
	{name: "tgi_request_validation_duration", help: "Seconds to understand a request.", scale: 1, histogram: func(m *Model) prometheus.Histogram { return m.validated }},
	{name: "tgi_request_queue_duration", help: "Seconds from arrival to the first step.", scale: 1, histogram: func(m *Model) prometheus.Histogram { return m.queued }},
	{name: "tgi_request_inference_duration", help: "Seconds from the first step to the last token.", scale: 1, histogram: func(m *Model) prometheus.Histogram { return m.inferred }},
	{name: "tgi_request_mean_time_per_token_duration", help: "Mean seconds between tokens.", scale: 1, histogram: func(m *Model) prometheus.Histogram { return m.perToken }},
	{name: "tgi_request_input_length", help: "Prompt tokens.", scale: 1, histogram: func(m *Model) prometheus.Histogram { return m.promptLen }},
	{name: "tgi_request_generated_tokens", help: "Output tokens.", scale: 1, histogram: func(m *Model) prometheus.Histogram { return m.outputLen }},
	{name: "tgi_request_max_new_tokens", help: "Output tokens that requests ask for.", scale: 1, histogram: func(m *Model) prometheus.Histogram { return m.maxTokens }},

	{name: "tgi_batch_next_size", help: "Sequences of a step.", scale: 1, histogram: func(m *Model) prometheus.Histogram { return m.steps.sequences }},
	{name: "tgi_batch_inference_count", help: "Steps.", kind: counter, labels: by("method", "prefill"), value: func(m *Model) float64 { return countOf(m.steps.device[1]) }},
	{name: "tgi_batch_inference_count", kind: counter, labels: by("method", "decode"), value: func(m *Model) float64 { return countOf(m.steps.device[0]) }},
	{name: "tgi_batch_inference_duration", help: "Seconds of the device for a step.", labels: by("method", "prefill"), scale: 1,
		histogram: func(m *Model) prometheus.Histogram { return m.steps.device[1] }},
	{name: "tgi_batch_inference_duration", labels: by("method", "decode"), scale: 1, histogram: func(m *Model) prometheus.Histogram { return m.steps.device[0] }},
	{name: "tgi_batch_forward_duration", help: "Seconds of the device for a step.", labels: by("method", "prefill"), scale: 1,
		histogram: func(m *Model) prometheus.Histogram { return m.steps.device[1] }},
	{name: "tgi_batch_forward_duration", labels: by("method", "decode"), scale: 1, histogram: func(m *Model) prometheus.Histogram { return m.steps.device[0] }},
}

const micro = 1e6 // microseconds of a second

// tritonAliases are the names of Triton Inference Server. An inference is a generation, an execution a step.
var tritonAliases = []alias{
	{name: "nv_inference_request_success", help: "Inferences that ended as they should.", kind: counter, value: succeeded},
	{name: "nv_inference_request_failure", help: "Requests turned away, and inferences that failed or were given up.", kind: counter, labels: by("reason", "REJECTED"),
		value: func(m *Model) float64 {
			return totalOf(m.rejections["queue_full"]) + totalOf(m.rejections["draining"])
		}},
	{name: "nv_inference_request_failure", kind: counter, labels: by("reason", "CANCELED"), value: func(m *Model) float64 { return totalOf(m.success["abort"]) }},
	{name: "nv_inference_request_failure", kind: counter, labels: by("reason", "BACKEND"), value: func(m *Model) float64 { return totalOf(m.success["error"]) }},
	{name: "nv_inference_count", help: "Inferences.", kind: counter, value: func(m *Model) float64 { return countOf(m.endToEnd) }},
	{name: "nv_inference_exec_count", help: "Steps.", kind: counter, value: func(m *Model) float64 { return countOf(m.steps.host) }},

	{name: "nv_inference_request_duration_us", help: "Time of all inferences.", kind: counter, value: func(m *Model) float64 { return sumOf(m.endToEnd) * micro }},
	{name: "nv_inference_queue_duration_us", help: "Time of all inferences in the queue.", kind: counter, value: func(m *Model) float64 { return sumOf(m.queued) * micro }},
	{name: "nv_inference_compute_input_duration_us", help: "Time to understand all requests.", kind: counter, value: func(m *Model) float64 { return sumOf(m.validated) * micro }},
	{name: "nv_inference_compute_infer_duration_us", help: "Time of all inferences from their first step to their last token.", kind: counter,
		value: func(m *Model) float64 { return sumOf(m.inferred) * micro }},
	{name: "nv_inference_first_response_histogram_ms", help: "Time from arrival to the first token.", scale: 1000,
		histogram: func(m *Model) prometheus.Histogram { return m.firstToken }},
}
