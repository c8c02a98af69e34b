package replay

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"llmc/runtime"
)

// traces are beginnings of public ones, and of our own log: three requests, 0, 1.5 and 4 seconds after the first.
var traces = map[string]string{
	"llmrun": `{"time":"2026-11-28T09:00:00.000000Z","id":"a","prompt_tokens":31,"output_tokens":120}
{"time":"2026-11-28T09:00:04.000000Z","id":"c","prompt_tokens":7,"output_tokens":3}

{"time":"2026-11-28T09:00:02.000000Z","id":"d","status":400,"error":"invalid"}
{"time":"2026-11-28T09:00:01.500000Z","id":"b","prompt_tokens":500,"output_tokens":1}`,
	"Azure":    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,31,120\n2023-11-16 18:15:48.1805900,500,1\n2023-11-16 18:15:50.6805900,7,3\n",
	"BurstGPT": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,31,120,151,x\n6.5,ChatGPT,500,1,501,x\n8,GPT-4,40,0,40,x\n9,GPT-4,7,3,10,x\n",
	"Mooncake": "{\"timestamp\": 1000, \"input_length\": 31, \"output_length\": 120, \"hash_ids\": [1]}\n{\"timestamp\": 2500, \"input_length\": 500, \"output_length\": 1}\n{\"timestamp\": 5000, \"input_length\": 7, \"output_length\": 3}\n",
}

func TestTraces(t *testing.T) {
	want := []runtime.Arrival{{At: 0, Prompt: 31, Output: 120}, {At: 1500 * time.Millisecond, Prompt: 500, Output: 1}, {At: 4 * time.Second, Prompt: 7, Output: 3}}
	for name, text := range traces {
		got, err := Read(strings.NewReader(text))
		if err != nil || len(got) != len(want) {
			t.Errorf("%s: %v, %v", name, got, err)
			continue
		}
		for i, a := range got {
			if off := a.At - want[i].At; off.Abs() > time.Microsecond || a.Prompt != want[i].Prompt || a.Output != want[i].Output {
				t.Errorf("%s: request %d is %+v, not %+v", name, i, a, want[i])
			}
		}
	}
	if fast := Faster(want, 4); fast[2].At != time.Second || want[2].At != 4*time.Second {
		t.Errorf("four times as fast: %v of %v", fast[2].At, want[2].At)
	}
	for text, word := range map[string]string{
		"": "empty", "a,b\n1,2\n": "no column is called", "{\"time\":\"x\",\"prompt_tokens\":1,\"output_tokens\":1}": "is no time", "{\"time\":1,\"prompt_tokens\":-1,\"output_tokens\":1}": "number of tokens",
		"{\"time\":1,\"prompt_tokens\":0}": "no request", "Timestamp,Request tokens,Response tokens\n1\n": "columns", "{": "request 1",
		"{\"time\":1e30,\"prompt_tokens\":1,\"output_tokens\":1}": "clock", "{\"time\":0,\"prompt_tokens\":1,\"output_tokens\":1}\n{\"time\":1e9,\"prompt_tokens\":1,\"output_tokens\":1}": "ten years",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v, not %q", text, err, word)
		}
	}
}

// FuzzTrace: whatever a file holds, what is read is in order and within bounds.
func FuzzTrace(f *testing.F) {
	for _, text := range traces {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		before := time.Duration(0)
		for _, a := range list {
			if a.At < before || a.At > maxSpan || a.Prompt < 1 || a.Prompt > maxTokens || a.Output < 1 || a.Output > maxTokens {
				t.Fatalf("%+v", a)
			}
			before = a.At
		}
	})
}

// TestPoisson holds what is made up to the means that were asked for.
func TestPoisson(t *testing.T) {
	const n = 20000
	list := Poisson(n, 50, 400, 100, true, 7)
	prompt, output := 0.0, 0.0
	for i, a := range list {
		prompt, output = prompt+float64(a.Prompt)/n, output+float64(a.Output)/n
		if i > 0 && a.At < list[i-1].At {
			t.Fatal("not in order")
		}
	}
	if rate := n / list[n-1].At.Seconds(); math.Abs(rate-50) > 1.5 || math.Abs(prompt-400) > 20 || math.Abs(output-100) > 5 {
		t.Errorf("%.1f a second, %.1f and %.1f tokens", rate, prompt, output)
	}
	for _, a := range Poisson(100, 1, 3, 2, false, 7) {
		if a.Prompt != 3 || a.Output != 2 {
			t.Errorf("%+v", a)
		}
	}
}
