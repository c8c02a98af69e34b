package metrics

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Registry holds the metrics of a process.
type Registry struct {
	prom *prometheus.Registry
	http *prometheus.CounterVec
	grpc *prometheus.CounterVec

	mu     sync.Mutex
	models map[string]*Model
	// inferences are those of models without engines. A name is in one of both.
	inferences map[string]*Inferences
}

// New returns a registry that has the metrics of the Go runtime and the process.
func New() *Registry {
	r := &Registry{
		prom: prometheus.NewRegistry(),
		http: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total",
			Help: "Answered HTTP requests.",
		}, []string{"handler", "method", "status"}),
		grpc: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "grpc_server_handled_total",
			Help: "Answered gRPC calls, and requests of streams.",
		}, []string{"grpc_method", "grpc_code"}),
		models: map[string]*Model{}, inferences: map[string]*Inferences{},
	}
	r.prom.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), r.http, r.grpc)
	return r
}

// Count tells of a total that somebody else keeps, which only grows.
func (r *Registry) Count(name, help string, total func() uint64) {
	r.prom.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: ownNamespace + name, Help: help}, func() float64 { return float64(total()) }))
}

// Handler answers scrapes, in the text or the OpenMetrics format.
func (r *Registry) Handler() http.Handler {
	return promhttp.HandlerFor(r.prom, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Answered counts one HTTP answer. The handler is a row of a route table, never a path as requested: peers must not
// be able to create series.
func (r *Registry) Answered(handler, method string, status int) {
	r.http.WithLabelValues(handler, method, strconv.Itoa(status)).Inc()
}

// Called counts one answered gRPC call. The method is one that is served: others never come here.
func (r *Registry) Called(method, code string) { r.grpc.WithLabelValues(method, code).Inc() }
