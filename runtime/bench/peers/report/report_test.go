package report

import (
	"bytes"
	"os"
	"testing"

	"llmc/internal/golden"
	"llmc/runtime/bench/peers/sample"
)

// The tables of a file of samples: several rounds, a noisy one, a peer with two variants, rows that only some have.
func TestTables(t *testing.T) {
	file, err := os.Open("testdata/samples.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	samples, err := sample.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := Write(&page, samples, Options{Noise: 0.1, Peers: []string{"llmrun", "llama.cpp", "OpenVINO"}}); err != nil {
		t.Fatal(err)
	}
	golden.File(t, "testdata/samples.md", page.Bytes())
}

func TestNoSamples(t *testing.T) {
	var page bytes.Buffer
	if err := Write(&page, nil, Options{}); err != nil || page.Len() != 0 {
		t.Errorf("%q, %v", page.String(), err)
	}
}

func TestGoalText(t *testing.T) {
	rate, _ := sample.FindMetric("decode")
	wait, _ := sample.FindMetric("build")
	for _, c := range []struct {
		goal   goal
		metric sample.Metric
		own    sample.Figure
		gain   float64
		want   string
	}{
		{goal{gain: 1.5, share: 0.9}, rate, sample.Figure{Median: 10, Share: 0.95}, 1.4, "1.50, 90 % met"},
		{goal{gain: 1.5, share: 0.9}, rate, sample.Figure{Median: 10}, 1.5, "1.50 met"},
		{goal{value: 1}, wait, sample.Figure{Median: 0.5}, 0, "1.00 s met"},
		{goal{value: 1}, wait, sample.Figure{Median: 2}, 100, "1.00 s"},
	} {
		if got := c.goal.text(c.metric, c.own, c.gain); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// Every goal is of a metric that there is.
func TestGoalsAreOfMetrics(t *testing.T) {
	for _, g := range goals {
		m, ok := sample.FindMetric(g.metric)
		if !ok || m.HasSize() != (g.size > 0) || g.gain == 0 && g.value == 0 {
			t.Errorf("goal %+v", g)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1234.5: "1234", 99.94: "99.9", 12.345: "12.3", 1.005: "1.00", 0.0123: "0.0123", 0.00012345: "0.0001", -0.5: "-0.500"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}
