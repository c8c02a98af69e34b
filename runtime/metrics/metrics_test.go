package metrics

import (
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// scrape returns the exposition without the metrics of the Go runtime and the process, whose values differ from run to run.
func scrape(t *testing.T, r *Registry) string {
	t.Helper()
	answer := httptest.NewRecorder()
	r.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.Code != 200 {
		t.Fatalf("scrape: status %d, %v", answer.Code, err)
	}
	var kept strings.Builder
	for line := range strings.Lines(string(text)) {
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func TestExposition(t *testing.T) {
	r := New()
	m, _ := r.Model(ModelOptions{Name: "tiny", MaxContext: 128, PageSize: 16, Pages: 40, Load: func() Load {
		return Load{Running: 3, Waiting: 2, KVUsage: .25, Preemptions: 1, PrefixQueries: 100, PrefixHits: 64}
	}})
	m.Requested(2)
	m.FirstToken(30*time.Millisecond, 100)
	m.NextToken(20 * time.Millisecond)
	m.NextToken(60 * time.Millisecond)
	m.Finished(Generation{
		Finish: "length", PromptTokens: 100, CachedTokens: 64, OutTokens: 3, MaxTokens: 3,
		SinceArrival: 400 * time.Millisecond, SinceFirstToken: 80 * time.Millisecond,
	})
	m.Phases(5*time.Millisecond, 25*time.Millisecond, 80*time.Millisecond)
	m.Step(100)
	m.Step(1)
	m.Rejected("queue_full")
	m.Rejected("no such reason")
	r.Answered("/v1/completions", "POST", 200)

	got := scrape(t, r)
	golden := filepath.Join("testdata", "exposition.txt")
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("exposition differs from %s (UPDATE=1 rewrites it):\n%s", golden, got)
	}
}

func TestSeveralModels(t *testing.T) {
	r := New()
	short, _ := r.Model(ModelOptions{Name: "short", MaxContext: 10})
	long, _ := r.Model(ModelOptions{Name: "long", MaxContext: 100_000, Load: func() Load { return Load{Running: 7} }})
	short.FirstToken(time.Second, 1)
	long.FirstToken(time.Second, 1)
	long.FirstToken(time.Second, 1)
	text := scrape(t, r)
	for _, line := range []string{
		`vllm:time_to_first_token_seconds_count{engine="0",model_name="short"} 1`,
		`vllm:time_to_first_token_seconds_count{engine="0",model_name="long"} 2`,
		`vllm:num_requests_running{engine="0",model_name="long"} 7`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
}

func TestLengthBuckets(t *testing.T) {
	for longest, want := range map[int][]float64{
		1: {1}, 9: {1, 2, 5}, 10: {1, 2, 5, 10}, 128: {1, 2, 5, 10, 20, 50, 100},
		2048: {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000},
	} {
		if got := lengthBuckets(longest); !slices.Equal(got, want) {
			t.Errorf("%d: %v, want %v", longest, got, want)
		}
	}
}

// The step loop observes, so observing must not allocate.
func TestObservingAllocatesNothing(t *testing.T) {
	m, _ := New().Model(ModelOptions{Name: "m", MaxContext: 4096})
	g := Generation{Finish: "stop", PromptTokens: 10, OutTokens: 5, MaxTokens: 16, SinceArrival: time.Second, SinceFirstToken: time.Second}
	for name, observe := range map[string]func(){
		"FirstToken": func() { m.FirstToken(time.Second, 9) },
		"NextToken":  func() { m.NextToken(time.Millisecond) },
		"Finished":   func() { m.Finished(g) },
		"Step":       func() { m.Step(256) },
		"Phases":     func() { m.Phases(1, 2, 3) },
		"Rejected":   func() { m.Rejected("queue_full") },
	} {
		if n := testing.AllocsPerRun(100, observe); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func TestObservingConcurrently(t *testing.T) {
	r := New()
	m, _ := r.Model(ModelOptions{Name: "m", MaxContext: 10})
	const goroutines, each = 8, 1000
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				m.Step(3)
				m.NextToken(time.Millisecond)
				m.Finished(Generation{Finish: "stop", OutTokens: 2})
			}
		})
	}
	wg.Wait()
	text := scrape(t, r)
	for _, line := range []string{
		`vllm:iteration_tokens_total_sum{engine="0",model_name="m"} 24000`,
		`vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 8000`,
		`vllm:generation_tokens_total{engine="0",model_name="m"} 8000`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
}
