// Package sample owns the figures of a comparison: a Sample is one, a line of JSON in a file; a Figure is what many samples of the same say.
package sample

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Own and Machine are the names of the peer that all others are compared with, and of what is said of the machine.
const (
	Own     = "llmrun"
	Machine = "machine"
)

// Key says what a sample is a sample of.
type Key struct {
	Model   string `json:"model,omitempty"`
	Peer    string `json:"peer"`
	Format  string `json:"format,omitempty"`  // int4, int8, bf16, f32: the row that peers are compared in; of a peak, the target
	Variant string `json:"variant,omitempty"` // the peer's own name of it; of a peak, the instruction
	Metric  string `json:"metric"`            // a row of Metrics
	Size    int64  `json:"size,omitempty"`    // what the metric's title says: sequences, clients, tokens, bytes
}

// Sample is one measurement.
type Sample struct {
	Key
	Value   float64 `json:"value"`             // in the metric's unit
	Share   float64 `json:"share,omitempty"`   // of the limit that the metric has
	Foreign float64 `json:"foreign,omitempty"` // part of the machine that other processes took meanwhile
	Round   int     `json:"round"`
	Failed  string  `json:"failed,omitempty"` // why there is no value
}

// Write appends the sample to w as a line.
func (s *Sample) Write(w io.Writer) error {
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// Read returns the samples of a file. A last line that was cut off is left out: the run was ended while it wrote.
func Read(r io.Reader) ([]Sample, error) {
	var list []Sample
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		var s Sample
		if err := json.Unmarshal(line, &s); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if _, known := FindMetric(s.Metric); !known {
			return nil, fmt.Errorf("line %d: unknown metric %q", n, s.Metric)
		}
		list = append(list, s)
	}
}

// Figure is what the samples of one key say.
type Figure struct {
	Key
	Median, Min, Max float64
	Share            float64 // median of those that have one
	Samples          int     // that count
	Dropped          int     // that were taken while other processes were at work
	Foreign          float64 // the most of those that count
	Noisy            bool    // there were none but noisy ones: the quietest count
	Failed           string  // why there are none
}

// alike is how much more of the machine others may take than in the quietest sample, where all are noisy.
const alike = 0.05

// Summarize makes figures of samples, in the order of their first ones. Samples that others disturbed by more than noise are dropped where there are
// quieter ones.
func Summarize(samples []Sample, noise float64) []Figure {
	groups := map[Key][]Sample{}
	var order []Key
	for _, s := range samples {
		if _, has := groups[s.Key]; !has {
			order = append(order, s.Key)
		}
		groups[s.Key] = append(groups[s.Key], s)
	}
	figures := make([]Figure, 0, len(order))
	for _, k := range order {
		figures = append(figures, summarize(k, groups[k], noise))
	}
	return figures
}

func summarize(k Key, group []Sample, noise float64) Figure {
	f := Figure{Key: k}
	measured := slices.DeleteFunc(slices.Clone(group), func(s Sample) bool { return s.Failed != "" })
	if len(measured) == 0 {
		f.Failed = group[0].Failed
		return f
	}
	quietest := slices.MinFunc(measured, func(a, b Sample) int { return cmp.Compare(a.Foreign, b.Foreign) }).Foreign
	if quietest > noise {
		f.Noisy, noise = true, quietest+alike
	}
	var values, shares []float64
	for _, s := range measured {
		if s.Foreign > noise {
			f.Dropped++
			continue
		}
		values = append(values, s.Value)
		if s.Share > 0 {
			shares = append(shares, s.Share)
		}
		f.Foreign = max(f.Foreign, s.Foreign)
	}
	f.Samples, f.Median, f.Min, f.Max = len(values), Median(values), slices.Min(values), slices.Max(values)
	if len(shares) > 0 {
		f.Share = Median(shares)
	}
	return f
}

// Median returns the middle of numbers, of which there must be one.
func Median(numbers []float64) float64 { return Percentile(numbers, 50) }

// Percentile returns the p-th percentile of numbers, of which there must be one, between neighbours in proportion.
func Percentile(numbers []float64, p float64) float64 {
	v := slices.Sorted(slices.Values(numbers))
	at := float64(len(v)-1) * p / 100
	i := int(at)
	if i+1 >= len(v) {
		return v[len(v)-1]
	}
	return v[i] + (v[i+1]-v[i])*(at-float64(i))
}
