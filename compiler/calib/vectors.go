package calib

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Closeness is how near what an encoder gives is to what the unquantized model gives for the same lines. Which figures there are depends on what is given: cosines of
// vectors, differences of scores and of labels' logits.
type Closeness struct {
	Gives string `json:"gives"` // "embedding", "hidden", "score" or "logits"
	Lines int    `json:"lines"`
	// Cosine of a line's vector, or of each token's, with the reference's: the mean, and the least.
	Cosine    *float64 `json:"cosine,omitempty"`
	CosineMin *float64 `json:"cosine_min,omitempty"`
	// Top1 is the share of lines for which both prefer the same: the nearest other line by cosine, of embeddings; the label, of logits.
	Top1 *float64 `json:"top1,omitempty"`
	// Diff is how far scores and logits are apart: the mean of the magnitudes, and the largest.
	Diff    *float64 `json:"diff,omitempty"`
	DiffMax *float64 `json:"diff_max,omitempty"`
}

// CompareVectors compares what both gave for each line, in rows of so many numbers. gives is the name of the result.
func CompareVectors(gives string, width int, got, want [][]float32) (*Closeness, error) {
	if len(got) == 0 || len(got) != len(want) {
		return nil, fmt.Errorf("results of %d lines, and %d of the reference", len(got), len(want))
	}
	for i := range got {
		if n := len(got[i]); n == 0 || n != len(want[i]) || width < 1 || n%width != 0 {
			return nil, fmt.Errorf("line %d: %d numbers, and %d of the reference, in rows of %d", i+1, n, len(want[i]), width)
		}
		if slices.ContainsFunc(got[i], notFinite) || slices.ContainsFunc(want[i], notFinite) {
			return nil, fmt.Errorf("line %d: numbers are not finite", i+1)
		}
	}
	compare, ok := comparisons[gives]
	if !ok {
		return nil, errors.New("nothing is known to compare of results called " + gives)
	}
	c := &Closeness{Gives: gives, Lines: len(got)}
	for _, f := range compare {
		f(c, width, got, want)
	}
	return c, nil
}

// comparisons are what is found out about a kind of result.
var comparisons = map[string][]func(c *Closeness, width int, got, want [][]float32){
	"embedding": {cosines, sameNeighbour},
	"hidden":    {cosines},
	"score":     {differences},
	"logits":    {differences, sameLabel},
}

func notFinite(x float32) bool { return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) }

func cosines(c *Closeness, width int, got, want [][]float32) {
	sum, least, n := 0.0, math.Inf(1), 0
	for i := range got {
		for at := 0; at < len(got[i]); at += width {
			x := cosine(got[i][at:at+width], want[i][at:at+width])
			sum, least, n = sum+x, min(least, x), n+1
		}
	}
	sum /= float64(n)
	c.Cosine, c.CosineMin = &sum, &least
}

// cosine of two vectors; vectors without a direction are like one another and unlike others.
func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i, x := range a {
		y := float64(b[i])
		ab, aa, bb = ab+float64(x)*y, aa+float64(x)*float64(x), bb+y*y
	}
	switch {
	case aa == 0 && bb == 0:
		return 1
	case aa == 0 || bb == 0:
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

func sameNeighbour(c *Closeness, _ int, got, want [][]float32) {
	if len(got) < 3 { // of two the other one is the nearest
		return
	}
	same := 0
	for i := range got {
		if nearest(got, i) == nearest(want, i) {
			same++
		}
	}
	c.Top1 = share(same, len(got))
}

// nearest is the other vector with the largest cosine, the first of equals.
func nearest(all [][]float32, i int) int {
	best, most := -1, math.Inf(-1)
	for j := range all {
		if x := cosine(all[i], all[j]); j != i && x > most {
			best, most = j, x
		}
	}
	return best
}

func differences(c *Closeness, _ int, got, want [][]float32) {
	sum, most, n := 0.0, 0.0, 0
	for i := range got {
		for j, x := range got[i] {
			d := math.Abs(float64(x) - float64(want[i][j]))
			sum, most, n = sum+d, max(most, d), n+1
		}
	}
	sum /= float64(n)
	c.Diff, c.DiffMax = &sum, &most
}

func sameLabel(c *Closeness, _ int, got, want [][]float32) {
	same := 0
	for i := range got {
		if slices.Index(got[i], slices.Max(got[i])) == slices.Index(want[i], slices.Max(want[i])) {
			same++
		}
	}
	c.Top1 = share(same, len(got))
}

func share(n, of int) *float64 {
	s := float64(n) / float64(of)
	return &s
}
