package sample

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func of(value, foreign float64) Sample {
	return Sample{Key: Key{Peer: "a", Metric: "decode", Size: 1}, Value: value, Foreign: foreign}
}

func TestSummarizeDropsNoise(t *testing.T) {
	other := of(7, 0)
	other.Peer, other.Share = "b", 0.5
	figures := Summarize([]Sample{of(10, 0), of(1, 0.3), other, of(30, 0.1), of(20, 0.02)}, 0.1)
	if len(figures) != 2 || figures[0].Peer != "a" || figures[1].Peer != "b" {
		t.Fatalf("figures %+v", figures)
	}
	f := figures[0]
	if f.Median != 20 || f.Min != 10 || f.Max != 30 || f.Samples != 3 || f.Dropped != 1 || f.Noisy || f.Foreign != 0.1 {
		t.Errorf("figure %+v", f)
	}
	if f := figures[1]; f.Median != 7 || f.Share != 0.5 || f.Samples != 1 {
		t.Errorf("figure %+v", f)
	}
}

// Where all samples are noisy the quietest ones count, and the figure says so.
func TestSummarizeAllNoisy(t *testing.T) {
	f := Summarize([]Sample{of(10, 0.9), of(20, 0.3), of(40, 0.34)}, 0.1)[0]
	if !f.Noisy || f.Samples != 2 || f.Median != 30 || f.Dropped != 1 {
		t.Errorf("figure %+v", f)
	}
}

// What failed once and worked another time is a figure of what worked.
func TestSummarizeFailures(t *testing.T) {
	failed := of(0, 0)
	failed.Failed = "out of memory"
	if f := Summarize([]Sample{failed, of(10, 0)}, 0.1)[0]; f.Samples != 1 || f.Median != 10 || f.Failed != "" {
		t.Errorf("figure %+v", f)
	}
	if f := Summarize([]Sample{failed}, 0.1)[0]; f.Samples != 0 || f.Failed != "out of memory" {
		t.Errorf("figure %+v", f)
	}
}

func TestPercentile(t *testing.T) {
	numbers := []float64{4, 1, 3, 2}
	for p, want := range map[float64]float64{0: 1, 50: 2.5, 100: 4, 99: 3.97} {
		if got := Percentile(numbers, p); math.Abs(got-want) > 1e-12 {
			t.Errorf("percentile %v: %v, want %v", p, got, want)
		}
	}
	if numbers[0] != 4 {
		t.Error("the numbers were sorted in place")
	}
	if Median([]float64{5}) != 5 {
		t.Error("median of one number")
	}
}

func TestReadsWhatItWrites(t *testing.T) {
	var file bytes.Buffer
	s := of(12.5, 0.25)
	s.Round, s.Share = 3, 0.5
	if err := s.Write(&file); err != nil {
		t.Fatal(err)
	}
	file.WriteString(`{"peer":"cut o`)
	list, err := Read(&file)
	if err != nil || len(list) != 1 || list[0] != s {
		t.Errorf("read %+v, %v", list, err)
	}
	for text, want := range map[string]string{"{}\n": "unknown metric", "{\"metric\":\"decode\"}\nx\n": "line 2"} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestGain(t *testing.T) {
	rate, _ := FindMetric("decode")
	wait, _ := FindMetric("start")
	if rate.Gain(20, 10) != 2 || wait.Gain(10, 20) != 2 || rate.Gain(1, 0) != 0 {
		t.Error("gain")
	}
	if !rate.HasSize() || wait.HasSize() {
		t.Error("size")
	}
}
