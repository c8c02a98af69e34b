package runtime

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"llmc/engine"
)

// Streams go on evenly whatever prompts come in one after the other: no step takes more than twice the median. The device's time is virtual, 5 ms a step and 50 us a token
// more; the lengths are those that are worst for pages and chunks, and everything between a token and eight times what a step holds.
func TestNoStepTakesTwiceTheMedian(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newEcho()
		m.limits.MaxStepTokens, m.limits.PageSize, m.limits.MaxContext = 512, 16, 4096
		m.pages = 1024
		m.memory = make([]int32, m.pages*m.limits.PageSize)
		var took []time.Duration
		m.before = func(_ int, st *engine.Step, _ []engine.Sampled) error {
			d := 5*time.Millisecond + time.Duration(st.T())*50*time.Microsecond
			time.Sleep(d)
			took = append(took, d)
			return nil
		}
		e := start(t, m, Options{})
		var streams []Generation
		for range 6 {
			streams = append(streams, submit(t, e, scriptText(strings.Repeat("x", 400))))
		}
		time.Sleep(200 * time.Millisecond)
		for i, n := range []int{1, 400, 15, 16, 17, 300, 2, 4000, 33, 511, 512, 513, 1, 1, 2047, 64, 4000, 5} {
			r := scriptText("y")
			r.CacheSalt = string(rune('a' + i)) // nothing is found in the cache
			for len(r.Prompt) < n {
				r.Prompt = append(r.Prompt, 'z')
			}
			r.MaxTokens = 1 + i%5
			read(t, submit(t, e, r))
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
		t.Logf("%d steps, median %v, longest %v", len(steps), median, longest)
	})
}
