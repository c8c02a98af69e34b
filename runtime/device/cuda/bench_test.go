//go:build cuda

package cuda_test

import (
	"fmt"
	"testing"

	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/device/cuda"
)

// BenchmarkHost is what decoding takes of the host, from the driver to the text, over a driver that does nothing: the GPU is ahead by a step meanwhile.
func BenchmarkHost(b *testing.B) {
	for _, batch := range []int{1, 8, 64} {
		b.Run(fmt.Sprint("batch ", batch), func(b *testing.B) { benchmarkHost(b, batch) })
	}
}

func benchmarkHost(b *testing.B, batch int) {
	d, plan := install(b, "sm90", 12040), build(b, "demo", "sm90", "int4")
	d.Idle = true
	model, err := cuda.Device{}.Load(plan, engine.Settings{MaxStepTokens: 512, MaxSequences: 64})
	if err != nil {
		b.Fatal(err)
	}
	defer model.Close()
	info := plan.Info()
	e, err := runtime.New(model, info, nil, runtime.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	run := func() {
		var all []runtime.Generation
		for i := range batch {
			g, err := e.Submit(b.Context(), runtime.Request{Prompt: []int32{1, int32(i)}, MaxTokens: info.MaxContext - 8, IgnoreEOS: true, PromptLogprobs: -1,
				Sampling: engine.Sampling{Temperature: 1, Logprobs: -1}})
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, g)
		}
		for _, g := range all {
			for {
				if _, ok := g.Next(b.Context()); !ok {
					break
				}
			}
		}
	}
	run()
	before := e.Stats()
	for b.Loop() {
		run()
	}
	after := e.Stats()
	steps := float64(after.Steps - before.Steps)
	b.ReportMetric(float64((after.HostTime-before.HostTime).Microseconds())/steps, "host-us/step")
	b.ReportMetric(float64((after.DeviceTime-before.DeviceTime).Microseconds())/steps, "wait-us/step")
	b.ReportMetric(steps/float64(b.N), "steps/op")
}
