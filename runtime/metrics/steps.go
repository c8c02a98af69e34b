package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"llmc/runtime"
)

// ownNamespace is of metrics that vLLM has no name for.
const ownNamespace = "llmrun_"

// stepMetrics are what steps cost. A step that takes in prompts is of kind prompt, any other of kind decode.
type stepMetrics struct {
	device              [2]prometheus.Histogram // of kinds: decode, prompt
	host                prometheus.Histogram
	perToken, perStream prometheus.Histogram // the host's part
	sequences           prometheus.Histogram
	failures            prometheus.Counter
}

// stepKinds are the values of label kind, in the order of stepMetrics.device.
var stepKinds = [2]string{"decode", "prompt"}

func newStepMetrics(f factory) stepMetrics {
	m := stepMetrics{
		host: f.histogram("step_host_seconds", "Time of a step that is not the device's: scheduling, and handing out tokens.", hostBuckets),
		perToken: f.histogram("step_host_per_token_seconds", "The host's time of a step, by the tokens that were computed in it.",
			hostBuckets),
		perStream: f.histogram("step_host_per_stream_seconds", "The host's time of a step, by the sequences that had a part in it.",
			hostBuckets),
		sequences: f.histogram("step_sequences", "Sequences that had a part in a step.", sequenceBuckets),
		failures:  f.counter("step_failures_total", "Steps that the device could not compute.", nil),
	}
	for i, kind := range stepKinds {
		m.device[i] = f.labeled("step_device_seconds", "Time that the device took for a step.", deviceBuckets, prometheus.Labels{"kind": kind})
	}
	return m
}

func (m *stepMetrics) observe(f runtime.StepFacts) {
	kind := 0
	if f.Prompts {
		kind = 1
	}
	host := f.Host.Seconds()
	m.device[kind].Observe(f.Device.Seconds())
	m.host.Observe(host)
	m.perToken.Observe(host / float64(max(1, f.Tokens)))
	m.perStream.Observe(host / float64(max(1, f.Sequences)))
	m.sequences.Observe(float64(f.Sequences))
	if f.Failed {
		m.failures.Inc()
	}
}
