package cpu

import (
	"fmt"
	"time"

	"llmc/engine"
)

// Launches implements engine.Profiler.
func (m *model) Launches() []engine.LaunchTime { return m.launches(m.main) }

// LaunchesOf implements engine.FunctionProfiler.
func (m *model) LaunchesOf(name string) []engine.LaunchTime {
	if f := m.find(name); f != nil {
		return m.launches(f)
	}
	return nil
}

func (m *model) launches(f *function) []engine.LaunchTime {
	times := make([]engine.LaunchTime, 0, len(f.program.Launches)+1)
	for i := range f.program.Launches {
		l := &f.program.Launches[i]
		t := engine.LaunchTime{Kernel: l.Kernel, Label: l.Label}
		for _, o := range l.Operands {
			if o.Kind != engine.OperandWeight || l.Kernel == "cpu.gather" {
				continue
			}
			if w, _, err := m.plan.Weight(f.program.Weights[o.Index]); err == nil && !l.Chooses(w) {
				t.WeightBytes += w.Bytes
			}
		}
		times = append(times, t)
	}
	last := "sample"
	if f.sampler == nil {
		last = "results"
	}
	return append(times, engine.LaunchTime{Kernel: last, Label: last})
}

// Profile implements engine.Profiler.
func (m *model) Profile(step *engine.Step, out []engine.Sampled, times []engine.LaunchTime) error {
	return m.profile(m.main, times, func() error { return m.runMain(step, out) })
}

// ProfileFunction implements engine.FunctionProfiler.
func (m *model) ProfileFunction(name string, step *engine.Step, times []engine.LaunchTime) error {
	f := m.find(name)
	if f == nil {
		return fmt.Errorf("the plan has no function %s", name)
	}
	return m.profile(f, times, func() error { return m.Run(name, step, nil) })
}

// profile adds what the launches of a function take to times, while run runs it.
func (m *model) profile(f *function, times []engine.LaunchTime, run func() error) error {
	last := time.Now()
	m.observe = func(launch int) {
		now := time.Now()
		if m.running != f { // of texts that the step brings, which is not the step's own
			launch = len(times) - 1
		}
		times[launch].Seconds += now.Sub(last).Seconds()
		last = now
		if launch == len(times)-1 {
			return
		}
		if product, ok := f.runners[launch].(*expertLinear); ok {
			times[launch].StackBytes += product.bytesRead()
		}
	}
	defer func() { m.observe = nil }()
	err := run()
	times[len(times)-1].Seconds += time.Since(last).Seconds()
	return err
}

var _ engine.FunctionProfiler = (*model)(nil)
