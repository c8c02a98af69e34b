package cpu

import (
	"time"

	"llmc/engine"
)

// Launches implements engine.Profiler.
func (m *model) Launches() []engine.LaunchTime {
	times := make([]engine.LaunchTime, 0, len(m.main.program.Launches)+1)
	for i := range m.main.program.Launches {
		l := &m.main.program.Launches[i]
		t := engine.LaunchTime{Kernel: l.Kernel, Label: l.Label}
		for _, o := range l.Operands {
			if o.Kind != engine.OperandWeight || l.Kernel == "cpu.gather" {
				continue
			}
			if w, _, err := m.plan.Weight(m.main.program.Weights[o.Index]); err == nil && !l.Chooses(w) {
				t.WeightBytes += w.Bytes
			}
		}
		times = append(times, t)
	}
	return append(times, engine.LaunchTime{Kernel: "sample", Label: "sample"})
}

// Profile implements engine.Profiler.
func (m *model) Profile(step *engine.Step, out []engine.Sampled, times []engine.LaunchTime) error {
	last := time.Now()
	m.observe = func(launch int) {
		now := time.Now()
		if m.running != m.main { // of texts that the step brings, which is not the step's own
			launch = len(times) - 1
		}
		times[launch].Seconds += now.Sub(last).Seconds()
		last = now
		if product, ok := m.main.runners[launch].(*expertLinear); ok {
			times[launch].StackBytes += product.bytesRead()
		}
	}
	defer func() { m.observe = nil }()
	err := m.runMain(step, out)
	times[len(times)-1].Seconds += time.Since(last).Seconds()
	return err
}
