package sample

import (
	"math"
	"testing"

	"llmc/engine"
)

func TestNegExp(t *testing.T) {
	worst, table := 0.0, exp2Table(0)
	for d := 0.0; d*engine.MassSteps < negligible; d += 0.0000977 {
		want := math.Exp(-d)
		worst = max(worst, math.Abs(negExp(d*engine.MassSteps, &table)-want)/want)
	}
	if worst > 1e-12 {
		t.Errorf("relative error %g", worst)
	}
	if negExp(0, &table) != 1 {
		t.Errorf("negExp(0) = %v", negExp(0, &table))
	}
}

var sink float64

func BenchmarkExp(b *testing.B) {
	gaps := make([]float32, 4096)
	for i := range gaps {
		gaps[i] = float32(i%317) * 0.1
	}
	table := exp2Table(0)
	for _, c := range []struct {
		name string
		exp  func(float64) float64
	}{{"negExp", func(d float64) float64 { return negExp(d, &table) }}, {"math", func(d float64) float64 { return math.Exp(-d) }}} {
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
