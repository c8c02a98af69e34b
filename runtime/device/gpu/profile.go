package gpu

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"llmc/engine"
)

// Times of a step: before its first launch, behind its last one, and from launchEnds on behind each launch while it is profiled.
const (
	stepBegins = iota
	stepEnds
	launchEnds
)

// TimeSteps implements engine.StepTimer.
func (m *Model) TimeSteps(on bool) error {
	m.clock = nil
	if !on {
		return nil
	}
	timer, ok := m.driver.(Timer)
	if !ok {
		return fmt.Errorf("%s has no clock", m.driver.Card().Name)
	}
	m.clock = timer
	return nil
}

// DeviceSeconds implements engine.StepTimer: the time from the first launch to the end of the last one.
func (m *Model) DeviceSeconds() (float64, error) {
	if m.clock == nil {
		return 0, errors.New("steps are not timed")
	}
	return m.clock.Seconds(stepBegins, stepEnds)
}

// Launches implements engine.Profiler.
func (m *Model) Launches() []engine.LaunchTime { return m.launchTimes(m.program) }

// LaunchesOf implements engine.FunctionProfiler.
func (m *Model) LaunchesOf(function string) []engine.LaunchTime {
	if f := m.find(function); f != nil {
		return m.launchTimes(f.program)
	}
	return nil
}

func (m *Model) launchTimes(p *engine.Program) []engine.LaunchTime {
	times := make([]engine.LaunchTime, 0, len(p.Launches)+1)
	for i := range p.Launches {
		l := &p.Launches[i]
		t := engine.LaunchTime{Kernel: l.Kernel, Label: l.Label}
		for j, o := range l.Operands {
			if o.Kind == engine.OperandWeight && !readsRows(l.Kernel, engine.FindKernel(l.Kernel).Roles[j].Name) {
				w := m.weight(p, o)
				if t.WeightBytes += w.Bytes; w.Layout != "" {
					t.Label = w.Name // fused launches have numbers for names
				}
			}
		}
		times = append(times, t)
	}
	return append(times, engine.LaunchTime{Kernel: "host", Label: "host"})
}

// readsRows tells that of a matrix one row is read for each row of the result.
func readsRows(kernel, role string) bool {
	return strings.HasPrefix(kernel, "cuda.gather") && role == "table"
}

// weight is the entry of an operand's weight. The program has been bound: it is there.
func (m *Model) weight(p *engine.Program, o engine.Operand) *engine.WeightEntry {
	w, _, _ := m.plan.Weight(p.Weights[o.Index])
	return w
}

// Profile implements engine.Profiler. Launches are queued one by one, also those of steps that run from a recording otherwise.
func (m *Model) Profile(step *engine.Step, out []engine.Sampled, times []engine.LaunchTime) error {
	return m.profile(m.function, step, times, func() error { return m.runMain(step, out) })
}

// ProfileFunction implements engine.FunctionProfiler.
func (m *Model) ProfileFunction(function string, step *engine.Step, times []engine.LaunchTime) error {
	f := m.find(function)
	if f == nil {
		return noFunction(function)
	}
	return m.profile(f, step, times, func() error { return m.Run(function, step, nil) })
}

// profile adds what the launches of a function take to times, while run runs it.
func (m *Model) profile(f *function, step *engine.Step, times []engine.LaunchTime, run func() error) error {
	timed := m.clock != nil
	if err := m.TimeSteps(true); err != nil {
		return err
	}
	var ran []int
	m.visit = func(launch int) error {
		ran = append(ran, launch)
		return m.clock.Stamp(launchEnds + len(ran) - 1)
	}
	defer func() {
		m.visit = nil
		_ = m.TimeSteps(timed) // can not fail now
	}()
	start := time.Now()
	if err := run(); err != nil {
		return err
	}
	wall := time.Since(start).Seconds()
	device, err := m.DeviceSeconds()
	if err != nil {
		return err
	}
	times[len(times)-1].Seconds += max(0, wall-device)
	last := stepBegins
	for i, launch := range ran {
		seconds, err := m.clock.Seconds(last, launchEnds+i)
		if err != nil {
			return err
		}
		last = launchEnds + i
		if launch == beginning {
			times[len(times)-1].Seconds += seconds
			continue
		}
		times[launch].Seconds += seconds
		m.cost(f.program, launch, step, &times[launch])
	}
	return nil
}

var (
	_ engine.FunctionProfiler = (*Model)(nil)
	_ engine.StepTimer        = (*Model)(nil)
)
