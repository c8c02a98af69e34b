package replay

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"llmc/runtime"
)

func TestFigures(t *testing.T) {
	done := &runtime.Simulated{End: 10 * time.Second, Busy: 5 * time.Second, Steps: 3}
	for i := range 100 {
		at := time.Duration(i) * time.Millisecond
		done.Requests = append(done.Requests, runtime.Served{Arrival: runtime.Arrival{At: at, Prompt: 10, Output: 2}, First: at + time.Duration(i+1)*time.Millisecond, End: at + time.Second})
		done.Gaps = append(done.Gaps, 0.001*float32(100-i))
	}
	f := Sum(2, done)
	if f.FirstToken != (Percentiles{0.051, 0.091, 0.1}) || f.Answer.P99 != 1 || f.TokensPerSecond != 20 || f.Busy != 0.25 || f.PromptTokens != 1000 || f.Gap.P50 < 0.0505 || f.Gap.P50 > 0.0515 {
		t.Errorf("%+v", f)
	}
	goals, err := ParseGoals([]string{"ttft_p99<=100ms", "e2e_p50<=0.9s", "itl_p99<=1s"})
	if err != nil {
		t.Fatal(err)
	}
	if missed := f.Missed(goals); len(missed) != 1 || missed[0] != "e2e_p50 is 1 s, not 900ms" {
		t.Errorf("missed: %q", missed)
	}
	done.Requests = append(done.Requests, runtime.Served{Refused: runtime.ErrTooLong}, runtime.Served{Refused: errors.New("full")})
	if f = Sum(2, done); f.TooLong != 1 || f.Refused != 1 || f.Requests != 102 || !slices.Contains(f.Missed(nil), "1 refused") {
		t.Errorf("%+v, missed %q", f, f.Missed(nil))
	}
	for _, text := range []string{"ttft_p99", "x<=1s", "ttft_p99<=1", "itl_p50<=-1s"} {
		if _, err := ParseGoals([]string{text}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
