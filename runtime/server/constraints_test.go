package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/device/cpu"
	"llmc/runtime/metrics"
	"llmc/runtime/server"
)

// startDemo serves the bundled model as "demo".
func startDemo(t *testing.T, options runtime.Options) *adapted {
	t.Helper()
	plan := plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int8"})
	model, err := (cpu.Device{}).Load(plan, engine.Settings{MaxContext: 256})
	must(t, err)
	m, e, err := server.NewModel("demo", &runtime.Loaded{Plan: plan, Info: plan.Info(), Model: model}, metrics.New(), options)
	must(t, err)
	s, err := server.New(server.Config{Models: []server.Model{m}})
	must(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		must(t, errors.Join(s.Shutdown(context.Background()), <-served, e.Close(), model.Close()))
	})
	return &adapted{t, "http://" + ln.Addr().String()}
}

// person is what constrained texts are read into.
type person struct {
	Name *string
	Age  *int
	Tags []string
}

const personSchema = `{"type":"object","properties":{"name":{"type":"string","maxLength":9},"age":{"type":"integer","minimum":0,"maximum":120},` +
	`"tags":{"type":"array","items":{"enum":["a","b"]},"maxItems":2}},"required":["name","age","tags"],"additionalProperties":false}`

// readPerson tells what is wrong with a text.
func readPerson(text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	var p person
	switch err := d.Decode(&p); {
	case err != nil:
		return err
	case p.Name == nil || p.Age == nil || len([]rune(*p.Name)) > 9 || *p.Age < 0 || *p.Age > 120 || len(p.Tags) > 2 || d.More():
		return fmt.Errorf("not under the schema")
	}
	return nil
}

// texts are the choices of an answer, whole or streamed, by index, and why they ended.
func (a answer) texts(t *testing.T) (texts, ends map[int]string) {
	t.Helper()
	texts, ends = map[int]string{}, map[int]string{}
	for _, event := range strings.Split(strings.TrimSpace(a.body), "\n\n") {
		event = strings.TrimPrefix(event, "data: ")
		if event == "[DONE]" {
			continue
		}
		var body struct {
			Choices []struct {
				Index          int
				Text           string
				Message, Delta struct{ Content string }
				Finish         string `json:"finish_reason"`
			}
		}
		if err := json.Unmarshal([]byte(event), &body); err != nil || a.status != 200 {
			t.Fatalf("%d, %v: %s", a.status, err, event)
		}
		for _, c := range body.Choices {
			texts[c.Index] += c.Text + c.Message.Content + c.Delta.Content
			ends[c.Index] += c.Finish
		}
	}
	return texts, ends
}

// constrainedRequests have the bundled model write what it was never taught; each says what it wants of texts.
var constrainedRequests = []struct {
	path, fields string
	right        func(text string) error
}{
	{"/v1/chat/completions", `"response_format":{"type":"json_schema","json_schema":{"name":"person","strict":true,"schema":` + personSchema + `}}`, readPerson},
	{"/v1/completions", `"guided_json":` + personSchema, readPerson},
	{"/v1/completions", `"structured_outputs":{"json":` + personSchema + `,"disable_any_whitespace":true}`, readPerson},
	{"/v1/completions", `"guided_regex":"[0-9]{3}-(ab|c)*d"`, matches(`^[0-9]{3}-(ab|c)*d$`)},
	{"/v1/chat/completions", `"guided_choice":["yes","yesterday","no"]`, matches(`^(yes|yesterday|no)$`)},
	{"/v1/completions", `"guided_grammar":"root ::= \"(\" root \")\" | [0-9]{2}"`, matches(`^\(*[0-9]{2}\)*$`)},
	{"/v1/chat/completions", `"guided_grammar":"start: \"x\" (\",\" /[a-c]/)~1..3"`, matches(`^x(,[a-c]){1,3}$`)},
}

func matches(pattern string) func(string) error {
	re := regexp.MustCompile(pattern)
	return func(text string) error {
		if !re.MatchString(text) {
			return fmt.Errorf("does not match %s", pattern)
		}
		return nil
	}
}

// TestConstrainedOutput wants every text of requests that constrain it to be right where it came to an end, whole and streamed, for several choices, beside requests that do not
// constrain theirs and get the same as by themselves, with guesses of what comes next and without.
func TestConstrainedOutput(t *testing.T) {
	ts := startDemo(t, runtime.Options{})
	drafted := startDemo(t, runtime.Options{Drafting: runtime.Drafting{Tokens: 4}})
	alone := ts.complete("demo", "one two three")
	greedy := func(path, fields string, stream bool) string {
		prompt := `"prompt":"Hello"`
		if path != "/v1/completions" {
			prompt = `"messages":[{"role":"user","content":"Hello"}]`
		}
		return fmt.Sprintf(`{"model":"demo",%s,"temperature":0,"max_tokens":120,"stream":%v,%s}`, prompt, stream, fields)
	}
	var all sync.WaitGroup
	ended := make([]int, len(constrainedRequests))
	for i, c := range constrainedRequests {
		all.Go(func() {
			first := ""
			for seed, body := range []string{
				greedy(c.path, c.fields, false), greedy(c.path, c.fields, true),
				strings.Replace(greedy(c.path, c.fields, true), `"temperature":0`, `"temperature":1,"n":4,"seed":7`, 1),
			} {
				texts, ends := ts.do("POST", c.path, body).texts(t)
				for n, text := range texts {
					if ends[n] == "length" {
						continue
					}
					ended[i]++
					if err := c.right(text); err != nil || ends[n] != "stop" {
						t.Errorf("%s: %q ended by %q: %v", c.fields, text, ends[n], err)
					}
				}
				if seed == 0 {
					first = texts[0]
				} else if seed == 1 && texts[0] != first {
					t.Errorf("%s: streamed %q, whole %q", c.fields, texts[0], first)
				}
			}
			guessed, _ := drafted.do("POST", c.path, greedy(c.path, c.fields, false)).texts(t)
			if guessed[0] != first {
				t.Errorf("%s: with guesses %q, without %q", c.fields, guessed[0], first)
			}
		})
	}
	for range 3 {
		all.Go(func() {
			if got := ts.complete("demo", "one two three"); got != alone {
				t.Errorf("beside constrained requests %s, alone %s", got, alone)
			}
		})
	}
	all.Wait()
	for i, n := range ended {
		if n == 0 {
			t.Errorf("%s: no text came to an end", constrainedRequests[i].fields)
		}
	}
}

// Other APIs constrain outputs in their own words.
func TestConstrainedDialects(t *testing.T) {
	s := startDemo(t, runtime.Options{})
	yes, err := json.Marshal(`{"guided_choice":["yes","no"]}`)
	must(t, err)
	for path, c := range map[string]struct{ body, key string }{
		"/generate":                {`{"inputs":"Hello","parameters":{"max_new_tokens":9,"grammar":{"type":"regex","value":"yes|no"}}}`, `"generated_text":"`},
		"/v2/models/demo/generate": {`{"text_input":"Hello","max_tokens":9,"sampling_parameters":` + string(yes) + `}`, `"text_output":"`},
		"/v1/responses": {`{"input":"Hello","max_output_tokens":20,"text":{"format":{"type":"json_schema","name":"n","strict":true,"schema":{"enum":["yes","no"]}}}}`,
			`"text":"\"`},
	} {
		resp, err := http.Post(s.address+path, "application/json", strings.NewReader(c.body))
		must(t, err)
		text, err := io.ReadAll(resp.Body)
		must(t, errors.Join(err, resp.Body.Close()))
		if !strings.Contains(string(text), c.key+"yes") && !strings.Contains(string(text), c.key+"no") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text)
		}
	}
}

// A reply is the calls that the request asks for, whatever the model would write.
func TestForcedCalls(t *testing.T) {
	s := startDemo(t, runtime.Options{})
	const tools = `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"$ref":"#/$defs/n"}},"required":["a"],` +
		`"additionalProperties":false,"$defs":{"n":{"enum":[1,2]}}}}},{"type":"function","function":{"name":"g","parameters":{"type":"object","properties":{},"additionalProperties":false}}}]`
	for choice, want := range map[string]string{
		`"required","parallel_tool_calls":false`:      `^(f \{"a": ?[12] ?\}|g \{ ?\}) tool_calls$`,
		`{"type":"function","function":{"name":"f"}}`: `^f \{"a": ?[12] ?\} stop$`, `{"type":"function","function":{"name":"g"}}`: `^g \{ ?\} stop$`,
	} {
		resp, err := http.Post(s.address+"/v1/chat/completions", "application/json",
			strings.NewReader(`{"messages":[{"role":"user","content":"x"}],"max_tokens":60,"temperature":0,`+tools+`,"tool_choice":`+choice+`}`))
		must(t, err)
		text, err := io.ReadAll(resp.Body)
		must(t, errors.Join(err, resp.Body.Close()))
		var answer struct {
			Choices []struct {
				Message struct {
					ToolCalls []struct {
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				}
				Finish string `json:"finish_reason"`
			}
		}
		if err := json.Unmarshal(text, &answer); err != nil || len(answer.Choices) != 1 || len(answer.Choices[0].Message.ToolCalls) != 1 {
			t.Errorf("%s: %v, %s", choice, err, text)
			continue
		}
		c := answer.Choices[0]
		got := c.Message.ToolCalls[0].Function.Name + " " + strings.Join(strings.Fields(c.Message.ToolCalls[0].Function.Arguments), " ") + " " + c.Finish
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %q, want %s", choice, got, want)
		}
	}
}
