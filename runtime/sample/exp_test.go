package sample

import (
	"math"
	"testing"
)

func TestNegExp(t *testing.T) {
	worst := 0.0
	for d := 0.0; d < negligible; d += 0.000977 {
		want := math.Exp(-d)
		worst = max(worst, math.Abs(negExp(d)-want)/want)
	}
	if worst > 1e-12 {
		t.Errorf("relative error %g", worst)
	}
	if negExp(0) != 1 {
		t.Errorf("negExp(0) = %v", negExp(0))
	}
}

var sink float64

func BenchmarkExp(b *testing.B) {
	gaps := make([]float32, 4096)
	for i := range gaps {
		gaps[i] = float32(i%317) * 0.1
	}
	for _, c := range []struct {
		name string
		exp  func(float64) float64
	}{{"negExp", negExp}, {"math", func(d float64) float64 { return math.Exp(-d) }}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				sum := 0.0
				for _, d := range gaps {
					sum += c.exp(float64(d))
				}
				sink = sum
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4096, "ns/exp")
		})
	}
}
