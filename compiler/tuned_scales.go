package compiler

import (
	"math"

	"llmc/internal/quant"
)

// tunedScales are those of the rows of a source. All numbers are [rows, each].
type tunedScales struct {
	format  *quant.Format
	cols    int
	each    int // scales of a row
	columns int // that share one
	now     []float32
	// slopes says by how much what is tuned grows with the logarithm of each; mean and squares are what was kept of those of earlier steps.
	slopes, mean, squares []float32
}

// row returns the part of one of its rows.
func (t *tunedScales) row(of []float32, row int64) []float32 {
	return of[row*int64(t.each) : (row+1)*int64(t.each)]
}

// add adds to a row's slopes those of its numbers w, of which each scale is a factor.
func (t *tunedScales) add(row int64, w, slopes []float32) {
	to := t.row(t.slopes, row)
	for i := range to {
		sum, hi := 0.0, min(len(w), (i+1)*t.columns)
		for k := i * t.columns; k < hi; k++ {
			sum += float64(w[k]) * float64(slopes[k])
		}
		to[i] += float32(sum)
	}
}

// Adam's constants (Kingma and Ba 2015, arXiv:1412.6980), for steps that are few.
const (
	adamMean, adamSquares = 0.9, 0.95
	// tuneRate is about how far a step moves a scale at most, of it. It is less than half of what f16 tells apart: all of them together, not any one, take the model nearer.
	tuneRate = 2e-4
	// tuneWarmup is the steps in which the rate grows; then it falls with a cosine.
	tuneWarmup = 4
)

// move makes step i of so many, and forgets its slopes.
func (t *tunedScales) move(i, steps int) {
	rate := tuneRate * min(1, float64(i+1)/tuneWarmup) * (0.5 + 0.5*math.Cos(math.Pi*float64(i)/float64(steps)))
	means, squares := 1-math.Pow(adamMean, float64(i+1)), 1-math.Pow(adamSquares, float64(i+1))
	for k, g := range t.slopes {
		t.mean[k] = float32(adamMean*float64(t.mean[k]) + (1-adamMean)*float64(g))
		t.squares[k] = float32(adamSquares*float64(t.squares[k]) + (1-adamSquares)*float64(g)*float64(g))
		if t.squares[k] > 0 {
			t.now[k] = float32(float64(t.now[k]) * (1 - rate*float64(t.mean[k])/means/math.Sqrt(float64(t.squares[k])/squares)))
		}
	}
	clear(t.slopes)
}
