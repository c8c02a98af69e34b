package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"llmc/engine"
)

// timed is a counter whose launches take known times, on a device with a clock.
type timed struct{ counter }

func (*timed) Launches() []engine.LaunchTime {
	return []engine.LaunchTime{{Kernel: "a", Label: "<first>", WeightBytes: 2000}, {Kernel: "b", Label: "second"}, {Kernel: "a", Label: "third"}, {Kernel: "never"}, {Kernel: "host", Label: "host"}}
}

func (m *timed) Profile(s *engine.Step, out []engine.Sampled, times []engine.LaunchTime) error {
	for i, seconds := range []float64{1e-6, 5e-6, 2e-6, 0, 2e-6} {
		times[i].Seconds += seconds
	}
	times[1].Traffic, times[1].Flops = times[1].Traffic+10_000, times[1].Flops+20e6
	return m.Step(s, out)
}

func (*timed) TimeSteps(bool) error            { return nil }
func (*timed) DeviceSeconds() (float64, error) { return 0.5e-3, nil }

// TestProfile wants times per step by kernel, the host's time of a step, and both files to name every launch that ran, with nothing of a name taken for
// HTML.
func TestProfile(t *testing.T) {
	c := &timed{counter{t: t, limits: engine.Settings{MaxStepTokens: 20, MaxSequences: 4, MaxRows: 4, MaxContext: 64, PageSize: 16}, cached: map[int32]bool{}}}
	config := Config{Prompt: 10, Gen: 3, Batches: []int{2}, Repeat: 1}
	phases, err := Profile(context.Background(), c, 100, config)
	if err != nil {
		t.Fatal(err)
	}
	parts := Parts(phases)
	want := []Part{{"decode", "b", 1, 5, 0.5, 0, 0, 2, 4}, {"decode", "a", 2, 3, 0.3, 2000, 2. / 3, 0, 0}, {"decode", "host", 1, 2, 0.2, 0, 0, 0, 0}}
	if len(parts) != 6 {
		t.Fatalf("%+v", parts)
	}
	for i, w := range want {
		got := parts[3+i]
		for _, f := range [][2]*float64{{&got.Micros, &w.Micros}, {&got.Share, &w.Share}, {&got.GBPerSecond, &w.GBPerSecond}, {&got.Traffic, &w.Traffic}, {&got.TFlops, &w.TFlops}} {
			if math.Abs(*f[0]-*f[1]) > 1e-9 {
				t.Errorf("%+v, want %+v", got, w)
			}
			*f[0] = *f[1]
		}
		if got != w {
			t.Errorf("%+v, want %+v", got, w)
		}
	}
	rows, err := Run(context.Background(), c, 100, config)
	if err != nil || !(rows[0].IdleMicros > 400) || rows[0].IdleMicros > 1e6 {
		t.Errorf("%+v, %v: steps take a millisecond, the device half of it", rows, err)
	}
	var page, trace bytes.Buffer
	if err := errors.Join(WriteTimeline(&page, "t", "s", phases), WriteTrace(&trace, "t", phases)); err != nil {
		t.Fatal(err)
	}
	if text := page.String(); strings.Contains(text, "<first>") || strings.Count(text, "&lt;first&gt;") < 4 || strings.Contains(text, "never") {
		t.Errorf("the page:\n%s", text)
	}
	var events struct{ TraceEvents []event }
	if err := json.Unmarshal(trace.Bytes(), &events); err != nil || len(events.TraceEvents) != 1+2*5 {
		t.Fatalf("%v: %+v", err, events)
	}
	if e := events.TraceEvents[8]; e.Name != "second" || math.Abs(e.Start-1) > 1e-9 || math.Abs(e.Duration-5) > 1e-9 || e.Thread != 1 {
		t.Errorf("%+v", e)
	}
}
