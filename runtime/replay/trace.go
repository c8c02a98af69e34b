package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"llmc/runtime"
)

// Bounds of what is read.
const (
	maxRequests  = 4 << 20
	maxLineBytes = 1 << 20
	maxTokens    = 1 << 24 // of a request
	maxSpan      = 10 * 366 * 24 * time.Hour
)

// columns are what traces call what is read of them: the log of `llmrun serve --request-log`, Azure's LLM inference traces, BurstGPT, Mooncake.
var columns = []struct {
	names []string
	of    func(l *line) *string
}{
	{[]string{"time", "TIMESTAMP", "Timestamp", "timestamp", "arrived_at"}, func(l *line) *string { return &l.at }},
	{[]string{"prompt_tokens", "ContextTokens", "Request tokens", "input_length"}, func(l *line) *string { return &l.prompt }},
	{[]string{"output_tokens", "GeneratedTokens", "Response tokens", "output_length"}, func(l *line) *string { return &l.output }},
}

// line is a request as a trace has it.
type line struct{ at, prompt, output string }

// Read reads a trace: lines of JSON, or CSV with a line of names. Requests come in order of time, the first at 0. Those without a token of either kind are left out, as failed ones are.
func Read(r io.Reader) ([]runtime.Arrival, error) {
	in := bufio.NewReaderSize(r, maxLineBytes)
	first, err := in.Peek(1)
	if err != nil {
		return nil, fmt.Errorf("the trace is empty")
	}
	next, err := linesOf(in, first[0])
	if err != nil {
		return nil, err
	}
	t := &trace{}
	for number := 1; ; number++ {
		l, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = t.add(l)
		}
		if err != nil {
			return nil, fmt.Errorf("request %d: %w", number, err)
		}
	}
	return t.arrivals()
}

// linesOf returns what reads the next line: of JSON where the trace begins with a brace.
func linesOf(in *bufio.Reader, first byte) (func() (*line, error), error) {
	if first == '{' {
		return func() (*line, error) { return jsonLine(in) }, nil
	}
	rows := csv.NewReader(in)
	rows.ReuseRecord, rows.FieldsPerRecord = true, -1
	head, err := rows.Read()
	if err != nil {
		return nil, err
	}
	at := make([]int, len(columns))
	for i, c := range columns {
		at[i] = slices.IndexFunc(head, func(name string) bool { return slices.Contains(c.names, strings.TrimSpace(name)) })
		if at[i] < 0 {
			return nil, fmt.Errorf("no column is called %s", strings.Join(c.names, " or "))
		}
	}
	return func() (*line, error) {
		row, err := rows.Read()
		if err != nil {
			return nil, err
		}
		l := &line{}
		for i, c := range columns {
			if at[i] >= len(row) {
				return nil, fmt.Errorf("it has %d columns", len(row))
			}
			*c.of(l) = row[at[i]]
		}
		return l, nil
	}, nil
}

func jsonLine(in *bufio.Reader) (*line, error) {
	for {
		text, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("it is longer than %d bytes", maxLineBytes)
		}
		if text = bytes.TrimSpace(text); len(text) == 0 {
			if err != nil {
				return nil, err
			}
			continue
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(text, &fields); err != nil {
			return nil, err
		}
		l := &line{}
		for _, c := range columns {
			for _, name := range c.names {
				if v, ok := fields[name]; ok {
					*c.of(l) = strings.Trim(string(v), `"`)
					break
				}
			}
		}
		if _, ms := fields["input_length"]; ms { // Mooncake's times
			l.at += "ms"
		}
		return l, nil
	}
}

// trace collects requests. Times are since 1970, or since whatever the trace counts from.
type trace struct{ list []runtime.Arrival }

func (t *trace) add(l *line) error {
	if len(t.list) == maxRequests {
		return fmt.Errorf("there are more than %d", maxRequests)
	}
	at, err := parseTime(l.at)
	if err != nil {
		return err
	}
	a := runtime.Arrival{At: at}
	for _, f := range []struct {
		text string
		to   *int
	}{{l.prompt, &a.Prompt}, {l.output, &a.Output}} {
		x, err := strconv.ParseFloat(strings.TrimSpace(f.text), 64)
		if f.text == "" {
			x, err = 0, nil // of a request that failed
		}
		if err != nil || !(x >= 0 && x <= maxTokens) {
			return fmt.Errorf("%q is no number of tokens from 0 to %d", f.text, maxTokens)
		}
		*f.to = int(x)
	}
	if a.Prompt > 0 && a.Output > 0 {
		t.list = append(t.list, a)
	}
	return nil
}

// layouts of times, which fractions of seconds may follow.
var layouts = []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05"}

// parseTime takes points in time, seconds, and milliseconds where they say so.
func parseTime(text string) (time.Duration, error) {
	text, ms := strings.CutSuffix(strings.TrimSpace(text), "ms")
	unit := float64(time.Second)
	if ms {
		unit = float64(time.Millisecond)
	}
	if x, err := strconv.ParseFloat(text, 64); err == nil {
		if !(math.Abs(x*unit) < math.MaxInt64/2) {
			return 0, fmt.Errorf("%q is beyond any clock", text)
		}
		return time.Duration(x * unit), nil
	}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, text); err == nil {
			return time.Duration(at.UnixNano()), nil
		}
	}
	return 0, fmt.Errorf("%.60q is no time", text)
}

// arrivals are in order of time, from the first on.
func (t *trace) arrivals() ([]runtime.Arrival, error) {
	if len(t.list) == 0 {
		return nil, fmt.Errorf("no request of the trace has tokens")
	}
	slices.SortStableFunc(t.list, func(a, b runtime.Arrival) int { return cmp.Compare(a.At, b.At) })
	begun := t.list[0].At
	for i := range t.list {
		if t.list[i].At -= begun; t.list[i].At > maxSpan || t.list[i].At < 0 {
			return nil, fmt.Errorf("the trace spans more than ten years")
		}
	}
	return t.list, nil
}

// Faster lets the requests of a trace come so many times as fast.
func Faster(list []runtime.Arrival, times float64) []runtime.Arrival {
	out := slices.Clone(list)
	for i := range out {
		out[i].At = time.Duration(float64(out[i].At) / times)
	}
	return out
}

// Poisson makes n requests that come independently of each other, rate a second. Lengths are spread about a mean as an exponential distribution is, within a quarter and four times of it;
// spread false: all are the mean.
func Poisson(n int, rate float64, prompt, output int, spread bool, seed uint64) []runtime.Arrival {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	length := func(mean int) int {
		if !spread {
			return mean
		}
		x := float64(mean) * r.ExpFloat64()
		return max(1, int(min(max(x, float64(mean)/4), 4*float64(mean))))
	}
	list, at := make([]runtime.Arrival, n), 0.0
	for i := range list {
		at += r.ExpFloat64() / rate
		list[i] = runtime.Arrival{At: time.Duration(at * float64(time.Second)), Prompt: length(prompt), Output: length(output)}
	}
	return list
}
