package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// FailReasons are those of Triton with which inferences fail.
var FailReasons = []string{"REJECTED", "CANCELED", "BACKEND"}

// Inferences counts those of a model that has no engine, an ensemble or a step of one, under Triton's names. A nil one counts nothing.
type Inferences struct {
	descs           []*prometheus.Desc // of success, count, executions, both durations, and the failures by their reasons
	success, micros atomic.Uint64
	failures        []atomic.Uint64 // by reason
}

// inferenceNames are the names that have the help of those of models with engines.
var inferenceNames = []string{"nv_inference_request_success", "nv_inference_count", "nv_inference_exec_count", "nv_inference_request_duration_us", "nv_inference_compute_infer_duration_us"}

const failureName = "nv_inference_request_failure"

// Inferences adds the metrics of a model without an engine. Versions and successors of a name count together. Where the name is that of a model with an engine,
// its metrics are that one's, and nothing is counted.
func (r *Registry) Inferences(model string) *Inferences {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.models[model] != nil {
		return nil
	}
	if i := r.inferences[model]; i != nil {
		return i
	}
	helps := map[string]string{}
	for _, row := range tritonAliases {
		if row.help != "" {
			helps[row.name] = row.help
		}
	}
	i := &Inferences{failures: make([]atomic.Uint64, len(FailReasons))}
	for _, name := range inferenceNames {
		i.descs = append(i.descs, describe(helps, name, "", model, nil))
	}
	for _, reason := range FailReasons {
		i.descs = append(i.descs, describe(helps, failureName, "", model, by("reason", reason)))
	}
	r.prom.MustRegister(i)
	r.inferences[model] = i
	return i
}

// Observe counts an inference; reason is one of FailReasons where it failed, else "".
func (i *Inferences) Observe(took time.Duration, reason string) {
	if i == nil {
		return
	}
	i.micros.Add(uint64(max(0, took.Microseconds())))
	for at, known := range FailReasons {
		if reason == known {
			i.failures[at].Add(1)
			return
		}
	}
	i.success.Add(1)
}

// Describe implements prometheus.Collector.
func (i *Inferences) Describe(out chan<- *prometheus.Desc) {
	for _, d := range i.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (i *Inferences) Collect(out chan<- prometheus.Metric) {
	good, micros := float64(i.success.Load()), float64(i.micros.Load())
	for at, value := range []float64{good, good, good, micros, micros} {
		out <- prometheus.MustNewConstMetric(i.descs[at], prometheus.CounterValue, value)
	}
	for at := range i.failures {
		out <- prometheus.MustNewConstMetric(i.descs[len(inferenceNames)+at], prometheus.CounterValue, float64(i.failures[at].Load()))
	}
}
