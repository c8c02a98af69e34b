package runtime

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"llmc/engine"
)

// evenPatterns are prompts that come in beside streams: the lengths that are worst for pages and chunks, and everything between a token and eight times what a step
// holds; so many at once.
var evenPatterns = []struct {
	name    string
	at      int // prompts at once
	lengths []int
	outputs int // tokens of each answer, so that all of a burst end at once; 0: 1 to 5
	every   int // steps between preemptions; 0: none
}{
	{"one after the other", 1, []int{1, 400, 15, 16, 17, 300, 2, 4000, 33, 511, 512, 513, 1, 1, 2047, 64, 4000, 5}, 0, 0},
	{"bursts of 4", 4, []int{1, 4000, 15, 600, 512, 513, 511, 2047, 16, 17, 1, 3000}, 0, 0},
	{"a burst of long ones", 8, []int{2000, 2000, 2000, 2000, 2000, 2000, 2000, 2000}, 0, 0},
	{"bursts of a token each", 120, slices.Repeat([]int{1}, 360), 0, 0},
	{"bursts of two tokens each", 100, slices.Repeat([]int{2}, 300), 0, 0},
	{"a burst of short ones", 48, slices.Repeat([]int{1, 3, 16, 17, 40, 100}, 8), 0, 0},
	{"all end at once", 60, slices.Repeat([]int{40}, 180), 30, 0},
	{"preempted ones", 8, slices.Repeat([]int{500, 300}, 12), 20, 15},
}

// Streams go on evenly whatever prompts come in: no step that answers them takes more than twice the median. The device's time is virtual, 5 ms a step and 50 us a token more.
func TestNoStepTakesTwiceTheMedian(t *testing.T) {
	for _, p := range evenPatterns {
		t.Run(p.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { stepsAreEven(t, p.at, p.lengths, p.outputs, p.every) })
		})
	}
}

func stepsAreEven(t *testing.T, at int, lengths []int, outputs, every int) {
	m := newEcho()
	m.limits.MaxStepTokens, m.limits.PageSize, m.limits.MaxContext = 512, 16, 4096
	m.limits.MaxSequences, m.limits.MaxRows = 128, 128
	m.pages = 2048
	m.memory = make([]int32, m.pages*m.limits.PageSize)
	var took []time.Duration
	m.before = func(_ int, st *engine.Step, _ []engine.Sampled) error {
		d := 5*time.Millisecond + time.Duration(st.T())*50*time.Microsecond
		time.Sleep(d)
		took = append(took, d)
		return nil
	}
	e := start(t, m, Options{PreemptEvery: every})
	var streams []Generation
	for range 6 {
		streams = append(streams, submit(t, e, scriptText(strings.Repeat("x", 400))))
	}
	time.Sleep(200 * time.Millisecond)
	for i := 0; i < len(lengths); i += at {
		var burst []Generation
		for j, n := range lengths[i:min(i+at, len(lengths))] {
			r := scriptText("y")
			r.CacheSalt = string(rune('a' + i + j)) // nothing is found in the cache
			for len(r.Prompt) < n {
				r.Prompt = append(r.Prompt, 'z')
			}
			if n == 1 {
				r = script() // which is answered with a token and the end
				r.Prompt = r.Prompt[:1]
			}
			if r.MaxTokens = 1 + (i+j)%5; outputs > 0 {
				r.Prompt[0], r.MaxTokens = int32(len(r.Prompt)-1), outputs
			}
			burst = append(burst, submit(t, e, r))
		}
		for _, g := range burst {
			read(t, g)
		}
	}
	for _, g := range streams {
		g.Cancel()
	}
	synctest.Wait()
	const warm = 20 // steps in which prompts of the streams came in, and the first that were measured
	steps := took[warm:]
	sorted := slices.Sorted(slices.Values(steps))
	median, longest := sorted[len(sorted)/2], sorted[len(sorted)-1]
	if longest > 2*median {
		t.Errorf("a step of %v among %d, whose median is %v", longest, len(steps), median)
	}
	if n := e.Stats().Preemptions; n == 0 && every > 0 {
		t.Error("nothing was preempted")
	}
	t.Logf("%d steps, median %v, longest %v, %d preemptions", len(steps), median, longest, e.Stats().Preemptions)
}
