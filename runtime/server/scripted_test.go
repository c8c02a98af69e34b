package server

import (
	"sync/atomic"
	"testing"
	"time"

	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/metrics"
)

// scripted is a device that samples the same letter in every row; before, when set, runs first in every step and may hang or fail.
type scripted struct {
	before func(step int64) error
	steps  atomic.Int64
}

func (m *scripted) Limits() (engine.Settings, int) {
	return engine.Settings{MaxStepTokens: 32, MaxSequences: 4, MaxRows: 4, MaxContext: 128, PageSize: 4}, 200
}

func (m *scripted) CopyPage(_, _ int32) error { return nil }
func (m *scripted) Close() error              { return nil }

func (m *scripted) Step(st *engine.Step, out []engine.Sampled) error {
	n := m.steps.Add(1)
	if m.before != nil {
		if err := m.before(n); err != nil {
			return err
		}
	}
	for i := range st.Rows {
		out[i].Token = 'a'
	}
	return nil
}

// engineModel returns a model of the fake vocabulary that a real engine serves on a scripted device, observed by a registry.
func engineModel(t *testing.T, name string, device engine.Model, registry *metrics.Registry, options runtime.Options) (Model, *runtime.Engine) {
	t.Helper()
	limits, pages := device.Limits()
	m := fakeModel(name, nil)
	var e *runtime.Engine
	m.Metrics, _ = registry.Model(metrics.ModelOptions{
		Name: name, MaxContext: limits.MaxContext, PageSize: limits.PageSize, Pages: pages, Load: func() metrics.Load { return load(e) },
	})
	options.Observer = m.Metrics
	e, err := runtime.New(device, m.Info, nil, options)
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	m.Backend = e
	return m, e
}

// slowly makes every step last a millisecond, so that times are above nothing.
func slowly(int64) error {
	time.Sleep(time.Millisecond)
	return nil
}
