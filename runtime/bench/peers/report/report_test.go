package report

import (
	"bytes"
	"strings"
	"testing"

	"llmc/internal/golden"
	"llmc/runtime/bench/peers/sample"
)

// The tables of a file of samples: several rounds, a noisy one, a peer with two variants, rows that only some have.
func TestTables(t *testing.T) {
	all, err := sample.ReadAll("testdata/samples.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := Write(&page, all, Options{Noise: 0.1, Peers: []string{"llmrun", "llama.cpp", "OpenVINO"}}); err != nil {
		t.Fatal(err)
	}
	golden.File(t, "testdata/samples.md", page.Bytes())
	whole := page.String()
	page.Reset()
	if err := Write(&page, all, Options{Noise: 0.1, Peers: []string{"llmrun", "llama.cpp", "OpenVINO"}, Compact: true}); err != nil {
		t.Fatal(err)
	}
	if compact, _, _ := strings.Cut(page.String(), "\nSamples of a figure"); !strings.HasPrefix(whole, compact) || strings.Contains(compact, "## Limits") {
		t.Errorf("compact tables %s", page.String())
	}
}

func TestNoSamples(t *testing.T) {
	var page bytes.Buffer
	if err := Write(&page, &sample.All{}, Options{}); err != nil || page.Len() != 0 {
		t.Errorf("%q, %v", page.String(), err)
	}
}

func TestGoalText(t *testing.T) {
	rate, _ := sample.FindMetric("decode")
	wait, _ := sample.FindMetric("build")
	room, _ := sample.FindMetric("memory")
	for _, c := range []struct {
		goal    goal
		metric  sample.Metric
		own     sample.Figure
		gain    float64
		weights float64
		want    string
	}{
		{goal{gain: 1.5, share: 0.9}, rate, sample.Figure{Median: 10, Share: 0.95}, 1.4, 0, "1.5x, 90 % met"},
		{goal{gain: 1.5, share: 0.9}, rate, sample.Figure{Median: 10}, 1.5, 0, "1.5x met"},
		{goal{gain: 1.5}, rate, sample.Figure{Median: 10}, 0, 0, ""},
		{goal{value: 1}, wait, sample.Figure{Median: 0.5}, 0, 0, "at most 1 s met"},
		{goal{value: 1}, wait, sample.Figure{Median: 2}, 100, 0, "at most 1 s"},
		{goal{beyond: 40}, room, sample.Figure{Median: 130}, 0, 90, "weights + 40 MB met"},
		{goal{beyond: 40}, room, sample.Figure{Median: 131}, 0, 90, "weights + 40 MB"},
	} {
		compared := comparison{aims: c.goal.parts(c.metric, c.own, c.gain, c.weights)}
		if got := compared.text(c.metric); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// Every goal is of a metric that there is, and none is hidden by one before it. Every line of the compact table is of such a metric.
func TestGoalsAreOfMetrics(t *testing.T) {
	for i, g := range goals {
		m, ok := sample.FindMetric(g.metric)
		if !ok || g.size > 0 && !m.HasSize() || g.gain == 0 && g.value == 0 && g.beyond == 0 {
			t.Errorf("goal %+v", g)
		}
		found, _ := findGoal(sample.Key{Model: g.model, Format: g.format, Metric: g.metric, Size: g.size})
		if found != goals[i] {
			t.Errorf("goal %+v is hidden by %+v", g, found)
		}
	}
	for _, l := range lines {
		if m, ok := sample.FindMetric(l.metric); !ok || m.HasSize() != (l.to > 0) {
			t.Errorf("line %+v", l)
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
