package server

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"llmc/runtime"
)

// echoServer serves a model that answers with its prompt turned around.
func echoServer(t *testing.T) *testServer {
	return startServer(t, &fakeBackend{reply: func(r runtime.Request) string {
		var text []byte
		for i := len(r.Prompt) - 1; i > 0; i-- {
			text = append(text, byte(r.Prompt[i]))
		}
		return string(text)
	}}, Config{})
}

func TestKServeInfer(t *testing.T) {
	ts := echoServer(t)
	got := ts.post("/v2/models/tiny/infer", `{"id":"7","inputs":[{"name":"text_input","shape":[2,1],"datatype":"BYTES","data":[["ab"],["cd"]]},
		{"name":"max_tokens","shape":[1],"datatype":"INT32","data":[9]},{"name":"temperature","shape":[2,1],"datatype":"FP32","data":[0.5,0.5]},
		{"name":"stop_words","shape":[2],"datatype":"BYTES","data":["x","y"]}]}`, 200)
	want := map[string]any{
		"model_name": "tiny", "model_version": "1", "id": "7",
		"outputs": []any{
			map[string]any{"name": "text_output", "datatype": "BYTES", "shape": []any{2.0, 1.0}, "data": []any{"ba", "dc"}},
			map[string]any{"name": "finish_reason", "datatype": "BYTES", "shape": []any{2.0, 1.0}, "data": []any{"stop", "stop"}},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if r := ts.backend.last(); r.MaxTokens != 9 || r.Sampling.Temperature != 0.5 || len(r.Stop) != 2 {
		t.Errorf("%+v", r)
	}
	for body, want := range map[string]string{
		`{}`: "inputs", `[]`: "object", `{"inputs":[]}`: "inputs", `{"inputs":[{"name":"text_input","shape":[2],"datatype":"BYTES","data":["x"]}]}`: "shape",
		`{"inputs":[{"name":"text_input","shape":[65536,65536,65536],"datatype":"BYTES","data":["x"]}]}`:                                                   "shape",
		`{"inputs":[{"name":"text_input","shape":[-1],"datatype":"BYTES","data":["x"]}]}`:                                                                  "shape",
		`{"inputs":[{"name":"nothing","shape":[1],"datatype":"BYTES","data":["x"]}]}`:                                                                      "nothing",
		`{"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","data":[1]}]}`:                                                                     "text_input",
		`{"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":9}}]}`:                                            "binary_data_size",
		`{"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","data":["x"]}],"outputs":[{"name":"logits"}]}`:                                     "logits",
		`{"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","data":["x"]},{"name":"beam_width","shape":[1],"datatype":"INT32","data":[4]}]}`:   "beam_width",
		`{"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","data":["x"]},{"name":"max_tokens","shape":[2],"datatype":"INT32","data":[4,5]}]}`: "max_tokens",
		`{"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","data":[` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `]}]}`:             "nested",
	} {
		if got := ts.post("/v2/models/tiny/infer", body, 400); !strings.Contains(got["error"].(string), want) {
			t.Errorf("%.200s: %v, want %q", body, got, want)
		}
	}
}

// Binary tensors follow the JSON, in requests and in answers.
func TestKServeBinary(t *testing.T) {
	ts := echoServer(t)
	tensors := append([]byte{2, 0, 0, 0}, "ab"...)
	tensors = binary.LittleEndian.AppendUint32(tensors, math.Float32bits(0.25))
	head := `{"inputs":[{"name":"text_input","shape":[1,1],"datatype":"BYTES","parameters":{"binary_data_size":6}},
		{"name":"temperature","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}],"outputs":[{"name":"text_output","parameters":{"binary_data":true}}]}`
	a := ts.do("POST", "/v2/models/tiny/versions/1/infer", head+string(tensors), fmt.Sprintf("%s: %d", headerLength, len(head)))
	length, err := strconv.Atoi(a.header.Get(headerLength))
	if err != nil || a.status != 200 || length > len(a.body) {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(a.body[:length]), &answer); err != nil {
		t.Fatal(err)
	}
	if rest := a.body[length:]; rest != "\x02\x00\x00\x00ba" || len(answer["outputs"].([]any)) != 1 {
		t.Errorf("%q behind %v", rest, answer)
	}
	if r := ts.backend.last(); r.Sampling.Temperature != 0.25 {
		t.Errorf("%+v", r)
	}
	for name, c := range map[string]struct{ header, tensors string }{
		"cut off": {strconv.Itoa(len(head)), string(tensors[:8])}, "too much": {strconv.Itoa(len(head)), string(tensors) + "x"}, "no number": {"x", string(tensors)},
		"beyond": {"99999", string(tensors)}, "negative": {"-1", string(tensors)}, "length of a text": {strconv.Itoa(len(head)), "\xff\xff\xff\xff" + string(tensors[4:])},
		"no UTF-8": {strconv.Itoa(len(head)), "\x02\x00\x00\x00\xff\xfe" + string(tensors[6:])},
	} {
		if a := ts.do("POST", "/v2/models/tiny/infer", head+c.tensors, headerLength+": "+c.header); a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestKServeEncoder(t *testing.T) {
	ts := startEncoders(t)
	got := ts.post("/v2/models/embedding/infer", `{"inputs":[{"name":"text","shape":[2],"datatype":"BYTES","data":["a","bcd"]}]}`, 200)
	want := []any{map[string]any{"name": "embedding", "datatype": "FP32", "shape": []any{2.0, 3.0}, "data": []any{3.0, 4.0, 1.0, 3.0, 4.0, 3.0}}}
	if d := cmp.Diff(want, got["outputs"]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	got = ts.post("/v2/models/score/infer", `{"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":["a"]},{"name":"text_pair","shape":[1],"datatype":"BYTES","data":["b"]}]}`, 200)
	if shape := got["outputs"].([]any)[0].(map[string]any)["shape"]; fmt.Sprint(shape) != "[1 1]" {
		t.Errorf("%v", got)
	}
	for _, body := range []string{
		`{"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","data":["a"]}]}`, `{"inputs":[{"name":"text_pair","shape":[1],"datatype":"BYTES","data":["a"]}]}`,
		`{"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":["a"]},{"name":"text_pair","shape":[2],"datatype":"BYTES","data":["b","c"]}]}`,
		`{"inputs":[{"name":"text","shape":[1],"datatype":"FP32","data":[1]}]}`, `{"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":["a"]}],"outputs":[{"name":"score"}]}`,
	} {
		ts.post("/v2/models/embedding/infer", body, 400)
	}
	ts.post("/v2/models/embedding/generate", `{"text_input":"x"}`, 400)
}

// Encoders take what a tokenizer has cut already, padded or not; logits of labels are given over this protocol.
func TestKServeTokens(t *testing.T) {
	ts := startEncoders(t)
	ids := `{"name":"input_ids","shape":[2,3],"datatype":"INT64","data":[[5,6,0],[7,8,9]]}`
	mask := `{"name":"attention_mask","shape":[2,3],"datatype":"INT32","data":[1,1,0,1,1,1]}`
	for inputs, want := range map[string]string{ids: "[3 4 3 3 4 3]", ids + "," + mask: "[3 4 2 3 4 3]"} {
		if got := fmt.Sprint(at(t, ts.post("/v2/models/logits/infer", `{"inputs":[`+inputs+`]}`, 200), "outputs", 0, "data")); got != want {
			t.Errorf("%s: %s, want %s", inputs, got, want)
		}
	}
	for inputs, want := range map[string]string{
		mask: "missing required parameter: input_ids", ids + `,{"name":"text","shape":[1],"datatype":"BYTES","data":["a"]}`: "either text or input_ids",
		`{"name":"input_ids","shape":[2],"datatype":"INT64","data":[1,2]}`:               "of shape [texts, tokens]",
		`{"name":"input_ids","shape":[1,1],"datatype":"FP32","data":[1]}`:                "INT64 or INT32",
		`{"name":"input_ids","shape":[1,1],"datatype":"INT64","data":[-1]}`:              "no token id",
		`{"name":"input_ids","shape":[1,1],"datatype":"INT64","data":["x"]}`:             "no number of INT64",
		ids + `,{"name":"attention_mask","shape":[1,2],"datatype":"INT64","data":[1,1]}`: "2 elements, input_ids has 6",
	} {
		if got := ts.post("/v2/models/embedding/infer", `{"inputs":[`+inputs+`]}`, 400); !strings.Contains(got["error"].(string), want) {
			t.Errorf("%s: %v, want %q", inputs, got, want)
		}
	}
	ts.post("/v2/models/hidden/infer", `{"inputs":[`+ids+`]}`, 400)
}

func TestTritonGenerate(t *testing.T) {
	ts := echoServer(t)
	got := ts.post("/v2/models/tiny/generate", `{"id":"1","text_input":"abc","max_tokens":5,"parameters":{"temperature":0,"sampling_parameters":"{\"top_p\": 0.5}"}}`, 200)
	if d := cmp.Diff(map[string]any{"id": "1", "model_name": "tiny", "model_version": "1", "text_output": "cba"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if r := ts.backend.last(); r.MaxTokens != 5 || r.Sampling.Temperature != 0 || r.Sampling.TopP != 0.5 {
		t.Errorf("%+v", r)
	}
	text := ""
	for _, e := range events(t, ts.do("POST", "/v2/models/tiny/generate_stream", `{"text_input":"abc","exclude_input_in_output":false}`).body) {
		var event struct {
			Text string `json:"text_output"`
		}
		if err := json.Unmarshal([]byte(e), &event); err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		text += event.Text
	}
	if text != "abccba" {
		t.Errorf("%q", text)
	}
	for _, body := range []string{`{"text_input":"x","stream":true}`, `{}`, `{"text_input":"x","bad_words":["y"]}`, `{"text_input":"x","sampling_parameters":"{\"n\":2}"}`, `{"text_input":"x","parameters":[]}`} {
		ts.post("/v2/models/tiny/generate", body, 400)
	}
}

func TestKServeModels(t *testing.T) {
	ts := echoServer(t)
	for path, want := range map[string]string{
		"/v2": `"name":"llmrun"`, "/v2/health/live": "ok", "/v2/health/ready": "ok", "/v2/models/tiny": `"name":"text_input"`, "/v2/models/tiny/versions/1": `"versions":["1"]`,
		"/v2/models/tiny/ready": `"ready":true`, "/v2/models/tiny/config": `"TYPE_STRING"`,
	} {
		if a := ts.do("GET", path, ""); a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := ts.do("POST", "/v2/repository/index", ""); !strings.Contains(a.body, `"state":"READY"`) {
		t.Errorf("%s", a.body)
	}
	for _, path := range []string{"/v2/models/other", "/v2/models/tiny/versions/2", "/v2/models/..%2f..%2fetc/ready"} {
		if a := ts.do("GET", path, ""); a.status != 404 || !strings.HasPrefix(a.body, `{"error":`) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	ts.backend.unwell.Store(fmt.Errorf("stuck"))
	if a := ts.do("GET", "/v2/models/tiny/ready", ""); a.status != 503 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// FuzzInfer: no body of an inference makes the server fail.
func FuzzInfer(f *testing.F) {
	f.Add(`{"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","data":["x"]}]}`, 0)
	f.Add(`{"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":5}}]}`+"\x01\x00\x00\x00x", 5)
	s, err := New(Config{Models: []Model{fakeModel("tiny", &fakeBackend{})}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string, after int) {
		c := &fasthttp.RequestCtx{}
		c.Request.SetBodyString(body)
		if after > 0 {
			c.Request.Header.Set(headerLength, strconv.Itoa(len(body)-after))
		}
		in, refusal := readInfer(c, readPlain)
		if refusal != nil {
			return
		}
		for _, tensor := range in.inputs {
			if int64(len(tensor.elements)) != readPlain.count(tensor.shape) {
				t.Fatalf("%d elements of shape %v", len(tensor.elements), tensor.shape)
			}
		}
		in.find = func() (*Model, error) { return s.models.list[0], nil }
		if r, err := s.inferGeneration(in, false); err == nil && len(r.prompts) == 0 {
			t.Fatal("no prompt")
		}
	})
}
