package server

import (
	"errors"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"llmc/runtime"
	"llmc/runtime/metrics"
)

// scrape is what /metrics says, as Prometheus reads it.
func (ts *testServer) scrape() map[string]*dto.MetricFamily {
	ts.t.Helper()
	a := ts.do("GET", "/metrics", "")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(a.body))
	if err != nil || a.status != 200 {
		ts.t.Fatalf("/metrics: %d, %v", a.status, err)
	}
	return families
}

// total adds up the metrics of a name whose labels include those given as name and value in turn: values, or how many a histogram has.
func total(families map[string]*dto.MetricFamily, name string, labels ...string) (sum float64, found bool) {
	for _, m := range families[name].GetMetric() {
		has := map[string]string{}
		for _, l := range m.GetLabel() {
			has[l.GetName()] = l.GetValue()
		}
		matches := true
		for i := 0; i < len(labels); i += 2 {
			matches = matches && has[labels[i]] == labels[i+1]
		}
		if !matches {
			continue
		}
		found = true
		sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return sum, found
}

// after is what the names say when the scenario of TestScrape is over. A value of -1 is above 0.
var after = []struct {
	name   string
	want   float64
	labels []string
}{
	// vLLM's, of which dashboards, autoscalers and endpoint pickers read these.
	{"vllm:num_requests_running", 0, nil}, {"vllm:num_requests_waiting", 0, nil}, {"vllm:num_requests_waiting_by_reason", 0, nil},
	{"vllm:kv_cache_usage_perc", 0, nil}, {"vllm:gpu_cache_usage_perc", 0, nil},
	{"vllm:cache_config_info", 1, []string{"block_size", "4", "num_gpu_blocks", "200"}},
	{"vllm:num_preemptions_total", 0, nil}, {"vllm:prefix_cache_queries_total", 48, nil}, {"vllm:prefix_cache_hits_total", 24, nil},
	{"vllm:prompt_tokens_total", 42, nil}, {"vllm:prompt_tokens_cached_total", 24, nil}, {"vllm:generation_tokens_total", 15, nil},
	{"vllm:request_success_total", 3, []string{"finished_reason", "length"}}, {"vllm:request_success_total", 1, []string{"finished_reason", "error"}},
	{"vllm:request_success_total", 0, []string{"finished_reason", "stop"}}, {"vllm:request_success_total", 0, []string{"finished_reason", "abort"}},
	{"vllm:admission_rejections_total", 0, nil}, {"vllm:iteration_tokens_total", -1, nil},
	{"vllm:time_to_first_token_seconds", 3, nil}, {"vllm:inter_token_latency_seconds", 12, nil}, {"vllm:time_per_output_token_seconds", 12, nil},
	{"vllm:request_time_per_output_token_seconds", 3, nil}, {"vllm:e2e_request_latency_seconds", 4, nil}, {"vllm:request_queue_time_seconds", 3, nil},
	{"vllm:request_prefill_time_seconds", 3, nil}, {"vllm:request_decode_time_seconds", 3, nil}, {"vllm:request_inference_time_seconds", 3, nil},
	{"vllm:request_prompt_tokens", 4, nil}, {"vllm:request_generation_tokens", 4, nil}, {"vllm:request_max_num_generation_tokens", 3, nil},
	{"vllm:request_params_max_tokens", 4, nil}, {"vllm:request_params_n", 3, nil}, {"vllm:request_prefill_kv_computed_tokens", 4, nil},
	{"vllm:spec_decode_num_drafts_total", 0, nil}, {"vllm:spec_decode_num_draft_tokens_total", 0, nil}, {"vllm:spec_decode_num_accepted_tokens_total", 0, nil},
	// Ours.
	{"llmrun_step_host_seconds", -1, nil}, {"llmrun_step_host_per_token_seconds", -1, nil}, {"llmrun_step_host_per_stream_seconds", -1, nil},
	{"llmrun_step_device_seconds", -1, []string{"kind", "prompt"}}, {"llmrun_step_device_seconds", -1, []string{"kind", "decode"}},
	{"llmrun_step_sequences", -1, nil}, {"llmrun_step_failures_total", 1, nil}, {"llmrun_request_validation_seconds", 3, nil},
	{"llmrun_kv_pages", 200, nil}, {"llmrun_kv_pages", 0, []string{"state", "held"}}, {"llmrun_kv_pages", -1, []string{"state", "cached"}},
	// Text Generation Inference's.
	{"tgi_request_count", 3, nil}, {"tgi_request_success", 3, nil}, {"tgi_request_failure", 1, []string{"err", "generation"}}, {"tgi_request_failure", 0, []string{"err", "overloaded"}},
	{"tgi_request_duration", 4, nil}, {"tgi_request_validation_duration", 3, nil}, {"tgi_request_queue_duration", 3, nil}, {"tgi_request_inference_duration", 3, nil},
	{"tgi_request_mean_time_per_token_duration", 3, nil}, {"tgi_request_input_length", 4, nil}, {"tgi_request_generated_tokens", 4, nil},
	{"tgi_request_max_new_tokens", 4, nil}, {"tgi_request_skipped_tokens", 0, nil}, {"tgi_queue_size", 0, nil}, {"tgi_batch_current_size", 0, nil},
	{"tgi_batch_current_max_tokens", 0, nil}, {"tgi_batch_next_size", -1, nil}, {"tgi_batch_inference_count", -1, nil},
	{"tgi_batch_inference_duration", -1, []string{"method", "prefill"}}, {"tgi_batch_forward_duration", -1, []string{"method", "decode"}},
	// Triton's.
	{"nv_inference_request_success", 3, []string{"model", "tiny", "version", "1"}}, {"nv_inference_request_failure", 1, nil}, {"nv_inference_count", 4, nil},
	{"nv_inference_exec_count", -1, nil}, {"nv_inference_pending_request_count", 0, nil}, {"nv_inference_request_duration_us", -1, nil},
	{"nv_inference_queue_duration_us", -1, nil}, {"nv_inference_compute_input_duration_us", -1, nil}, {"nv_inference_compute_infer_duration_us", -1, nil},
	{"nv_inference_first_response_histogram_ms", 3, nil}, {"nv_trt_llm_request_metrics", 0, nil},
	{"nv_trt_llm_kv_cache_block_metrics", 200, []string{"kv_cache_block_type", "max"}}, {"nv_trt_llm_kv_cache_block_metrics", 4, []string{"kv_cache_block_type", "tokens_per"}},
	// Of the process.
	{"http_requests_total", 2, []string{"handler", "/v1/completions", "status", "200"}}, {"process_resident_memory_bytes", -1, nil}, {"go_goroutines", -1, nil},
}

// Every name has what a scenario makes of it: a prompt of 14 tokens, again with two choices, five tokens each, and one of 6 whose step fails.
func TestScrape(t *testing.T) {
	registry := metrics.New()
	device := &scripted{before: slowly}
	m, _ := engineModel(t, "tiny", device, registry, runtime.Options{})
	ts := startServer(t, nil, Config{Models: []Model{m}, Metrics: registry})
	ts.post("/v1/completions", `{"prompt":"a long prompt","max_tokens":5}`, 200)
	ts.post("/v1/completions", `{"prompt":"a long prompt","n":2,"max_tokens":5}`, 200)
	fails := errors.New("the device is ill")
	device.before = func(int64) error { return fails }
	ts.post("/v1/completions", `{"prompt":"other","max_tokens":7}`, 500)
	families := ts.scrape()
	for _, row := range after {
		got, found := total(families, row.name, row.labels...)
		if !found || row.want >= 0 && got != row.want || row.want < 0 && got <= 0 {
			t.Errorf("%s%v is %v (there: %v), want %v", row.name, row.labels, got, found, row.want)
		}
	}
}
