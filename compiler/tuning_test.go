package compiler

import (
	"math"
	"math/rand/v2"
	"testing"

	"llmc/internal/quant"
)

// The slopes that tuning begins with are what differences of the divergence come to.
func TestDivergenceSlopesAreDifferences(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	own, other := make([]float32, 40), make([]float32, 40)
	for i := range own {
		own[i], other[i] = float32(3*r.NormFloat64()), float32(3*r.NormFloat64())
	}
	slopes := append([]float32{}, own...)
	divergenceSlopes(slopes, other, 0.5)
	for i := range own {
		const by = 1e-2
		ends := [2]float64{}
		for side, sign := range []float32{1, -1} {
			moved := append([]float32{}, own...)
			moved[i] += sign * by
			ends[side] = divergence(moved, other)
		}
		if want := 0.5 * (ends[0] - ends[1]) / (2 * by); math.Abs(want-float64(slopes[i])) > 1e-4 {
			t.Errorf("slope %d is %v, differences say %v", i, slopes[i], want)
		}
	}
}

// divergence is what logits say of the next token, in nats from what others say.
func divergence(logits, others []float32) (sum float64) {
	log := func(logits []float32) float64 {
		all := 0.0
		for _, x := range logits {
			all += math.Exp(float64(x))
		}
		return math.Log(all)
	}
	own, other := log(logits), log(others)
	for i, x := range others {
		sum += math.Exp(float64(x)-other) * (float64(x) - other - float64(logits[i]) + own)
	}
	return sum
}

// Scales, whatever their sign, come to where a sum of squares of what rows miss is least, and no step is longer than the rate.
func TestScalesMoveToTheLeast(t *testing.T) {
	format, err := quant.Find("int4-g32")
	if err != nil {
		t.Fatal(err)
	}
	const cols, rows, steps = 64, 3, 2000
	each := format.Scales(cols)
	s := &tunedScales{format: format, cols: cols, each: each, columns: format.BoundColumns(cols)}
	for _, part := range []*[]float32{&s.now, &s.slopes, &s.mean, &s.squares} {
		*part = make([]float32, rows*each)
	}
	r := rand.New(rand.NewPCG(1, 2))
	codes, goal := make([]float32, rows*cols), make([]float32, rows*each)
	for i := range codes {
		codes[i] = float32(r.IntN(16) - 8)
	}
	for i := range s.now {
		s.now[i] = float32(1-2*(i%2)) * (0.5 + r.Float32())
		goal[i] = s.now[i] * (1 + 0.05*float32(r.NormFloat64()))
	}
	miss := func() (sum float64) {
		for i, x := range s.now {
			sum += math.Abs(float64(x/goal[i] - 1))
		}
		return sum
	}
	begun := miss()
	for i := range steps {
		for row := range rows {
			w, slopes := make([]float32, cols), make([]float32, cols)
			for k := range w {
				at := row*each + k/s.columns
				w[k] = codes[row*cols+k] * s.now[at]
				slopes[k] = w[k] - codes[row*cols+k]*goal[at]
			}
			s.add(int64(row), w, slopes)
		}
		before := append([]float32{}, s.now...)
		s.move(i, steps)
		for k, x := range s.now {
			if moved := math.Abs(float64(x/before[k]) - 1); moved > 5*tuneRate {
				t.Fatalf("step %d moved a scale by %v of it", i, moved)
			}
		}
	}
	if ended := miss(); ended > begun/10 {
		t.Errorf("scales miss by %v, by %v at first", ended, begun)
	}
}
