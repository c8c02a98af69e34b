package server

import (
	"testing"
	"time"

	"llmc/runtime"
	"llmc/runtime/metrics"
)

// While a step hangs for longer than a step may, /health, /livez and /readyz answer 503, and 200 again when it goes on; what is started stays started.
func TestHealthIsProgress(t *testing.T) {
	gate := make(chan struct{})
	device := &scripted{before: func(int64) error { <-gate; return nil }}
	m, _ := engineModel(t, "tiny", device, metrics.New(), runtime.Options{StallAfter: 50 * time.Millisecond})
	ts := startServer(t, nil, Config{Models: []Model{m}})
	status := func(path string) int { return ts.do("GET", path, "").status }
	probes := []string{"/health", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready"}
	for _, path := range probes {
		if got := status(path); got != 200 {
			t.Errorf("idle: %s answers %d", path, got)
		}
	}
	answered := make(chan int)
	go func() { answered <- ts.do("POST", "/v1/completions", `{"prompt":"x","max_tokens":2}`).status }()
	eventually(t, "a hanging step makes /health 503", func() bool { return status("/health") == 503 })
	for _, path := range probes[1:] {
		if got := status(path); got == 200 {
			t.Errorf("hanging: %s answers %d", path, got)
		}
	}
	if got := status("/startupz"); got != 200 {
		t.Errorf("hanging: /startupz answers %d", got)
	}
	if a := ts.do("GET", "/metrics", ""); a.status != 404 {
		t.Errorf("metrics that are off: %d", a.status)
	}
	close(gate)
	if got := <-answered; got != 200 {
		t.Errorf("the request is answered %d", got)
	}
	eventually(t, "recovery", func() bool { return status("/health") == 200 && status("/livez") == 200 })
}
