package replay

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"llmc/runtime"
)

// Figures sum up a simulation. Times are seconds; percentiles are of requests that were served, those of gaps of all pairs of tokens.
type Figures struct {
	Servers         int         `json:"servers"`
	Requests        int         `json:"requests"`
	Refused         int         `json:"refused,omitempty"` // queues were full
	TooLong         int         `json:"too_long,omitempty"`
	Seconds         float64     `json:"seconds"` // from the first arrival to the last token
	PromptTokens    int64       `json:"prompt_tokens"`
	OutputTokens    int64       `json:"output_tokens"`
	TokensPerSecond float64     `json:"output_tokens_per_second"`
	FirstToken      Percentiles `json:"first_token"`
	Gap             Percentiles `json:"between_tokens"`
	Answer          Percentiles `json:"answer"` // from arrival to the last token
	Busy            float64     `json:"busy"`   // part of the time that devices work
	Steps           int         `json:"steps"`
	Waiting         int         `json:"most_waiting"` // at one server
	Pages           float64     `json:"most_pages"`   // part of a server's KV pages that is in use at most
	Preemptions     uint64      `json:"preemptions"`
}

// Percentiles of times, in seconds.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
}

func percentiles[T cmp.Ordered](list []T, seconds func(T) float64) Percentiles {
	if len(list) == 0 {
		return Percentiles{}
	}
	slices.Sort(list)
	at := func(p int) float64 { return seconds(list[min(len(list)-1, len(list)*p/100)]) }
	return Percentiles{at(50), at(90), at(99)}
}

// Sum makes the figures of a simulation on so many servers. It sorts the gaps.
func Sum(servers int, done *runtime.Simulated) *Figures {
	f := &Figures{Servers: servers, Requests: len(done.Requests), Seconds: done.End.Seconds(), Steps: done.Steps, Waiting: done.MostWaiting, Pages: done.MostPages, Preemptions: done.Preemptions}
	var first, answer []time.Duration
	for i := range done.Requests {
		q := &done.Requests[i]
		switch {
		case errors.Is(q.Refused, runtime.ErrTooLong):
			f.TooLong++
		case q.Refused != nil:
			f.Refused++
		default:
			first, answer = append(first, q.First-q.At), append(answer, q.End-q.At)
			f.PromptTokens += int64(q.Prompt)
			f.OutputTokens += int64(q.Output)
		}
	}
	if f.Seconds > 0 {
		f.TokensPerSecond = float64(f.OutputTokens) / f.Seconds
		f.Busy = done.Busy.Seconds() / f.Seconds / float64(servers)
	}
	f.FirstToken, f.Answer = percentiles(first, time.Duration.Seconds), percentiles(answer, time.Duration.Seconds)
	f.Gap = percentiles(done.Gaps, func(x float32) float64 { return float64(x) })
	return f
}

// figure is one that goals are about.
type figure struct {
	name string
	of   func(f *Figures) float64
}

// goals are what can be asked of figures, in seconds.
var goals = []figure{
	{"ttft_p50", func(f *Figures) float64 { return f.FirstToken.P50 }},
	{"ttft_p90", func(f *Figures) float64 { return f.FirstToken.P90 }},
	{"ttft_p99", func(f *Figures) float64 { return f.FirstToken.P99 }},
	{"itl_p50", func(f *Figures) float64 { return f.Gap.P50 }},
	{"itl_p90", func(f *Figures) float64 { return f.Gap.P90 }},
	{"itl_p99", func(f *Figures) float64 { return f.Gap.P99 }},
	{"e2e_p50", func(f *Figures) float64 { return f.Answer.P50 }},
	{"e2e_p90", func(f *Figures) float64 { return f.Answer.P90 }},
	{"e2e_p99", func(f *Figures) float64 { return f.Answer.P99 }},
}

// Goal is a bound for a time.
type Goal struct {
	figure
	most time.Duration
}

// ParseGoals reads bounds such as ttft_p99<=500ms.
func ParseGoals(texts []string) ([]Goal, error) {
	var names []string
	for _, g := range goals {
		names = append(names, g.name)
	}
	var list []Goal
	for _, text := range texts {
		name, bound, ok := strings.Cut(text, "<=")
		i := slices.Index(names, name)
		if !ok || i < 0 {
			return nil, fmt.Errorf("%q: expected NAME<=TIME, such as ttft_p99<=500ms; names are %s", text, strings.Join(names, ", "))
		}
		most, err := time.ParseDuration(bound)
		if err != nil || most <= 0 {
			return nil, fmt.Errorf("%q: %q is no time above 0, such as 500ms", text, bound)
		}
		list = append(list, Goal{goals[i], most})
	}
	return list, nil
}

// Missed tells which goals figures do not reach. Where requests were refused none is.
func (f *Figures) Missed(list []Goal) (missed []string) {
	if f.Refused > 0 {
		missed = append(missed, fmt.Sprintf("%d refused", f.Refused))
	}
	for _, want := range list {
		if is := want.of(f); is > want.most.Seconds() {
			missed = append(missed, fmt.Sprintf("%s is %.3g s, not %v", want.name, is, want.most))
		}
	}
	return missed
}
