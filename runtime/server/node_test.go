package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"llmc/runtime"
	"llmc/runtime/ensemble"
	"llmc/runtime/metrics"
	"llmc/runtime/requestlog"
	"llmc/runtime/server/inference"
)

func specOf(name, kind string, optional bool, dims ...int64) ensemble.Spec {
	return ensemble.Spec{Name: name, Type: kind, Dims: dims, Optional: optional}
}

// pairs are a map of names and values in turn.
func pairs(list ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

func builtin(t testing.TB, kind string, inputs []ensemble.Spec, parameters ...string) Node {
	t.Helper()
	b, err := ensemble.NewBuiltin(kind, pairs(parameters...), inputs, nil)
	must(t, err)
	return b
}

func graph(t testing.TB, g ensemble.Graph) Node {
	t.Helper()
	made, err := ensemble.NewGraph(g)
	must(t, err)
	return made
}

// answering is an ensemble that takes the text with the best score for a query, and has the model "tiny" go on with both.
func answering() ensemble.Graph {
	return ensemble.Graph{
		Name: "answer",
		Inputs: []ensemble.Spec{
			specOf("query", "BYTES", false, 1), specOf("documents", "BYTES", false, -1), specOf("max_tokens", "INT32", true, 1), specOf("stream", "BOOL", true, 1),
		},
		Outputs: []ensemble.Spec{specOf("passages", "BYTES", false, -1), specOf("text", "BYTES", false, -1), specOf("why", "BYTES", false, -1)},
		Steps: []ensemble.Step{
			{Model: "beside", In: pairs("input", "query", "like", "documents"), Out: pairs("output", "queries")},
			{Model: "score", In: pairs("text", "queries", "text_pair", "documents"), Out: pairs("score", "scores")},
			{Model: "best", In: pairs("scores", "scores"), Out: pairs("indices", "indices")},
			{Model: "rows", In: pairs("input", "documents", "indices", "indices"), Out: pairs("output", "passages")},
			{Model: "ask", In: pairs("passages", "passages", "query", "query"), Out: pairs("text", "prompt")},
			{Model: "tiny", In: pairs("text_input", "prompt", "max_tokens", "max_tokens", "stream", "stream"), Out: pairs("text_output", "text", "finish_reason", "why")},
		},
	}
}

// startNodes serves an ensemble and what it is made of, and what is more.
func startNodes(t *testing.T, b *fakeBackend, config Config, more ...Model) *testServer {
	t.Helper()
	score, embedding := fakeModel("score", nil), fakeModel("embedding", nil)
	score.Backend, score.Encoder = nil, &fakeEncoder{gives: "score"}
	embedding.Backend, embedding.Encoder = nil, &fakeEncoder{gives: "embedding"}
	ask := []ensemble.Spec{specOf("passages", "BYTES", false, -1), specOf("query", "BYTES", false, 1)}
	config.Models = append([]Model{
		fakeModel("tiny", b), score, embedding,
		{Name: "beside", Node: builtin(t, "repeat", nil)}, {Name: "best", Node: builtin(t, "top_k", nil, "k", "1")}, {Name: "rows", Node: builtin(t, "take", nil)},
		{Name: "ask", Node: builtin(t, "template", ask, "template", "{{ passages[0] }} {{ query }}")},
		{Name: "cut", Node: builtin(t, "tokenize", nil, "model", "embedding")}, {Name: "answer", Node: graph(t, answering())},
	}, more...)
	return startServer(t, b, config)
}

// repeating answers with the prompt.
func repeating() *fakeBackend {
	return &fakeBackend{reply: func(r runtime.Request) string { return byteTokenizer{}.Decode(r.Prompt, true) }}
}

const askAnswer = `{"inputs":[{"name":"query","shape":[1],"datatype":"BYTES","data":["q"]},{"name":"documents","shape":[3],"datatype":"BYTES","data":["aa","the longest","bbb"]},
	{"name":"max_tokens","shape":[1],"datatype":"INT32","data":[20]}]}`

func TestEnsemble(t *testing.T) {
	ts := startNodes(t, repeating(), Config{})
	got := ts.post("/v2/models/answer/infer", askAnswer, 200)
	want := map[string]any{"model_name": "answer", "model_version": "1", "outputs": []any{
		map[string]any{"name": "passages", "datatype": "BYTES", "shape": []any{1.0}, "data": []any{"the longest"}},
		map[string]any{"name": "text", "datatype": "BYTES", "shape": []any{1.0}, "data": []any{"the longest q"}},
		map[string]any{"name": "why", "datatype": "BYTES", "shape": []any{1.0}, "data": []any{"stop"}},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if r := ts.backend.last(); r.MaxTokens != 20 {
		t.Errorf("%+v", r)
	}
	const body = `{"id":"7","query":"q","documents":["aa","the longest"],"parameters":{"max_tokens":20}}`
	want = map[string]any{"id": "7", "model_name": "answer", "model_version": "1", "passages": "the longest", "text": "the longest q", "why": "stop"}
	if d := cmp.Diff(want, ts.post("/v2/models/answer/generate", body, 200)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	text, why, all := "", "", events(t, ts.do("POST", "/v2/models/answer/generate_stream", body).body)
	for i, e := range all {
		var part map[string]any
		must(t, json.Unmarshal([]byte(e), &part))
		if _, is := part["passages"]; is != (i == 0) {
			t.Errorf("event %d: %s", i, e)
		}
		text += part["text"].(string)
		if w, is := part["why"].(string); is {
			why += w
		}
	}
	if len(all) < 5 || text != "the longest q" || why != "stop" {
		t.Errorf("%q %q of %d events", text, why, len(all))
	}
	for path, body := range map[string]string{
		`/v2/models/best/infer`: `{"inputs":[{"name":"scores","shape":[2],"datatype":"FP32","data":[1,2]}]}`, // a step alone
		`/v2/models/cut/infer`:  `{"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":["ab"]}],"outputs":[{"name":"input_ids"}]}`,
	} {
		if got := fmt.Sprint(ts.post(path, body, 200)["outputs"].([]any)[0]); !strings.Contains(got, "data:[1]") && !strings.Contains(got, "data:[97 98]") {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// What is wrong names the ensemble, the step and the tensor, with the status that the step alone would have had.
func TestEnsembleRefusals(t *testing.T) {
	ts := startNodes(t, repeating(), Config{})
	input := func(name, kind, shape, data string) string {
		return fmt.Sprintf(`{"name":%q,"shape":[%s],"datatype":%q,"data":[%s]}`, name, shape, kind, data)
	}
	query, documents := input("query", "BYTES", "1", `"q"`), input("documents", "BYTES", "1", `"d"`)
	for body, want := range map[string]string{
		query: `input "documents" is missing`, query + "," + documents + "," + input("x", "BYTES", "1", `"d"`): `no input "x"`,
		documents + "," + input("query", "BYTES", "2", `"q","r"`):                `input "query": shape [2], must be [1]`,
		documents + "," + input("query", "FP32", "1", `1`):                       `input "query": datatype FP32, must be BYTES`,
		query + "," + query + "," + documents:                                    "is there twice",
		query + "," + documents + "," + input("max_tokens", "INT32", "1", `1.5`): "no number of INT32",
		query + "," + documents + "," + input("max_tokens", "INT32", "1", `-4`):  `ensemble "answer" step 5 (model "tiny"): max_tokens`,
		query + "," + input("documents", "BYTES", "0", ``):                       `ensemble "answer" step`,
		query + "," + input("documents", "BYTES", "1", `"untokenizable"`):        `ensemble "answer" step 1 (model "score"): text: unknown symbol`,
		query + "," + documents + "," + input("stream", "BOOL", "1", `true`):     `ensemble "answer" step 5 (model "tiny"): stream: one text`,
	} {
		if got := ts.post("/v2/models/answer/infer", `{"inputs":[`+body+`]}`, 400); !strings.Contains(got["error"].(string), want) {
			t.Errorf("%s: %v, want %q", body, got, want)
		}
	}
	for path, body := range map[string]string{"/v1/completions": `{"model":"answer","prompt":"x"}`, "/tokenize": `{"model":"answer","prompt":"x"}`, "/v1/embeddings": `{"model":"best","input":"x"}`} {
		if a := ts.do("POST", path, body); a.status != 400 || !strings.Contains(a.body, "/v2/models/") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	// Not only the parts go: so does the whole, and comes back with them.
	must(t, ts.Offer(t.Context(), "score"))
	if a := ts.do("POST", "/v2/models/answer/infer", askAnswer); a.status != 503 || !strings.Contains(a.body, `the model \"answer\" is not available: it needs the model \"score\", which is not loaded`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := ts.do("GET", "/v2/models/answer/ready", ""); a.status != 503 {
		t.Errorf("%d %s", a.status, a.body)
	}
	other := fakeModel("score", nil)
	other.Backend, other.Encoder = nil, &fakeEncoder{gives: "embedding"}
	must(t, ts.Offer(t.Context(), "score", &other))
	if a := ts.do("POST", "/v2/models/answer/infer", askAnswer); a.status != 503 || !strings.Contains(a.body, `the model has no output \"score\"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	again := fakeModel("score", nil)
	again.Backend, again.Encoder = nil, &fakeEncoder{gives: "score"}
	must(t, ts.Offer(t.Context(), "score", &again))
	ts.post("/v2/models/answer/infer", askAnswer, 200)
}

// Metadata and configuration are those that Triton has for ensembles.
func TestEnsembleIsDescribed(t *testing.T) {
	batched := ensemble.Graph{Name: "batched", MaxBatch: 2, Inputs: []ensemble.Spec{specOf("x", "BYTES", false, -1, 1)}, Outputs: []ensemble.Spec{specOf("y", "FP32", false, -1, 3)},
		Steps: []ensemble.Step{{Model: "embedding", Version: "1", In: pairs("text", "x"), Out: pairs("embedding", "y")}}}
	ts := startNodes(t, repeating(), Config{}, Model{Name: "batched", Node: graph(t, batched)})
	if a := ts.do("GET", "/v2/models/answer", ""); !strings.Contains(a.body, `"platform":"ensemble"`) || !strings.Contains(a.body, `{"name":"max_tokens","datatype":"INT32","shape":[1],"optional":true}`) {
		t.Error(a.body)
	}
	var config struct {
		Platform string
		Batch    int `json:"max_batch_size"`
		Input    []configTensor
		Ensemble ensembleConfig           `json:"ensemble_scheduling"`
		Policy   struct{ Decoupled bool } `json:"model_transaction_policy"`
	}
	must(t, json.Unmarshal([]byte(ts.do("GET", "/v2/models/answer/config", "").body), &config))
	if config.Platform != "ensemble" || len(config.Ensemble.Steps) != 6 || config.Ensemble.Steps[1].Version != -1 || config.Ensemble.Steps[1].In["text_pair"] != "documents" || !config.Policy.Decoupled {
		t.Errorf("%+v", config)
	}
	must(t, json.Unmarshal([]byte(ts.do("GET", "/v2/models/batched/config", "").body), &config))
	if config.Batch != 2 || len(config.Input) != 1 || fmt.Sprint(config.Input[0].Dims) != "[1]" || config.Ensemble.Steps[0].Version != 1 || config.Policy.Decoupled {
		t.Errorf("%+v", config)
	}
	if got := ts.post("/v2/models/batched/generate", `{"x":["a","b","c"]}`, 400); !strings.Contains(got["error"].(string), "the batch has 3") {
		t.Errorf("%v", got)
	}
	if a := ts.do("GET", "/v1/models", ""); strings.Contains(a.body, "answer") {
		t.Errorf("what the OpenAI API can not use is listed there: %s", a.body)
	}
	client := inference.NewGRPCInferenceServiceClient(startGRPC(t, ts))
	told, err := client.ModelConfig(callContext(t, ""), &inference.ModelConfigRequest{Name: "answer"})
	must(t, err)
	if steps := told.Config.GetEnsembleScheduling().GetStep(); len(steps) != 6 || steps[5].ModelName != "tiny" || told.Config.Platform != "ensemble" {
		t.Errorf("%v", told)
	}
}

// answerCall asks the ensemble over gRPC.
func answerCall(stream bool) *inference.ModelInferRequest {
	r := &inference.ModelInferRequest{ModelName: "answer", Id: "9"}
	for _, in := range []struct {
		name, kind string
		raw        []byte
		n          int64
	}{{"query", "BYTES", []byte("\x01\x00\x00\x00q"), 1}, {"documents", "BYTES", []byte("\x01\x00\x00\x00a\x03\x00\x00\x00bcd"), 2}, {"stream", "BOOL", []byte{map[bool]byte{true: 1}[stream]}, 1}} {
		r.Inputs = append(r.Inputs, &inference.ModelInferRequest_InferInputTensor{Name: in.name, Datatype: in.kind, Shape: []int64{in.n}})
		r.RawInputContents = append(r.RawInputContents, in.raw)
	}
	return r
}

func TestEnsembleOverGRPC(t *testing.T) {
	ts := startNodes(t, repeating(), Config{})
	client := inference.NewGRPCInferenceServiceClient(startGRPC(t, ts))
	a, err := client.ModelInfer(callContext(t, ""), answerCall(false))
	must(t, err)
	if got := textsOf(t, a, "text"); len(got) != 1 || got[0] != "bcd q" || a.Id != "9" {
		t.Errorf("%v", a)
	}
	if _, err := client.ModelInfer(callContext(t, ""), answerCall(true)); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
	stream, err := client.ModelStreamInfer(callContext(t, ""))
	must(t, err)
	for _, parts := range []bool{true, false} {
		must(t, stream.Send(answerCall(parts)))
		text, n := "", 0
		for last := false; !last; n++ {
			got, err := stream.Recv()
			must(t, err)
			if got.ErrorMessage != "" {
				t.Fatal(got.ErrorMessage)
			}
			if passages := textsOf(t, got.InferResponse, "passages"); (len(passages) == 1) != (n == 0) {
				t.Errorf("answer %d: passages %v", n, passages)
			}
			text += strings.Join(textsOf(t, got.InferResponse, "text"), "")
			last = got.InferResponse.Parameters[finalResponse].GetBoolParam()
		}
		if text != "bcd q" || (n > 1) != parts {
			t.Errorf("parts %v: %q in %d answers", parts, text, n)
		}
	}
	must(t, stream.CloseSend())
}

// A client that leaves, and a deadline that passes, end the step that runs; the models are free again.
func TestEnsembleEnds(t *testing.T) {
	b := repeating()
	b.gate = make(chan struct{})
	ts := startNodes(t, b, Config{})
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+ts.addr+"/v2/models/answer/infer", strings.NewReader(askAnswer))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	ended := make(chan error, 1)
	go func() {
		resp, err := ts.client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		ended <- err
	}()
	eventually(t, "the last step runs", func() bool { return b.submitted() == 1 })
	cancel()
	if err := <-ended; err == nil {
		t.Error("an answer came")
	}
	eventually(t, "nothing left running", b.idle)
	if a := ts.do("POST", "/v2/models/answer/infer", askAnswer, headerTimeout+": 0.05"); a.status != 504 {
		t.Errorf("%d %s", a.status, a.body)
	}
	eventually(t, "nothing left running", b.idle)
	eventually(t, "all memory is given back", func() bool { return ts.room.taken.Load() == 0 })
	must(t, ts.Offer(t.Context(), "tiny"))
}

// A request counts once for its key, with the tokens of all its steps; the log has a line for it with its steps, metrics have both.
func TestEnsembleIsAccountedFor(t *testing.T) {
	keys, _, _ := loadTestKeys(t, "sk-one\tname=team requests-per-minute=2 tokens-per-minute=1000\n")
	registry, file := metrics.New(), &kept{}
	log := requestlog.New(file, slog.New(slog.DiscardHandler))
	ts := startNodes(t, repeating(), Config{Keys: keys, Metrics: registry, OpenMetrics: true, Requests: log})
	t.Cleanup(func() { must(t, log.Close()) })
	const key = "Authorization: Bearer sk-one"
	a := ts.do("POST", "/v2/models/answer/infer", askAnswer, key)
	if a.status != 200 || a.header.Get("X-Ratelimit-Remaining-Requests") != "1" {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	line := awaitLine(t, file, 0)
	steps, _ := line["steps"].([]any)
	// Scores of 3 pairs: 4, 13 and 5 tokens; a prompt of 14 and an answer of 13.
	if line["model"] != "answer" || line["key"] != "team" || len(steps) != 6 || at(t, steps, 1, "model") != "score" || at(t, steps, 5, "step") != "answer/5" || line["prompt_tokens"] != 36. {
		t.Errorf("%v", line)
	}
	if got := ts.do("POST", "/v2/models/answer/generate_stream", `{"query":"q","documents":["d"]}`, key); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if line := awaitLine(t, file, 1); line["stream"] != true || len(line["steps"].([]any)) != 6 || line["finish"].([]any)[0] != "stop" {
		t.Errorf("%v", line)
	}
	if a := ts.do("POST", "/v2/models/answer/infer", askAnswer, key); a.status != 429 {
		t.Errorf("%d %s", a.status, a.body)
	}
	families := ts.scrape()
	for _, row := range []struct {
		name   string
		want   float64
		labels []string
	}{
		{"nv_inference_request_success", 2, []string{"model", "answer", "version", "1"}}, {"nv_inference_count", 2, []string{"model", "best"}},
		{"nv_inference_request_failure", 0, []string{"model", "answer", "reason", "BACKEND"}},
	} {
		if got, found := total(families, row.name, row.labels...); !found || got != row.want {
			t.Errorf("%s%v is %v (there: %v), want %v", row.name, row.labels, got, found, row.want)
		}
	}
	if got := ts.do("GET", "/v2/models/answer/stats", "", key); !strings.Contains(got.body, `"inference_count":2`) {
		t.Error(got.body)
	}
}

// Ensembles in ensembles are computed and streamed as one; those in a circle are refused.
func TestEnsembleInEnsemble(t *testing.T) {
	outer := ensemble.Graph{Name: "outer", Decoupled: true, Inputs: []ensemble.Spec{specOf("q", "BYTES", false, 1), specOf("d", "BYTES", false, -1)}, Outputs: []ensemble.Spec{specOf("said", "BYTES", false, -1)},
		Steps: []ensemble.Step{{Model: "answer", In: pairs("query", "q", "documents", "d"), Out: pairs("text", "said")}}}
	ts := startNodes(t, repeating(), Config{}, Model{Name: "outer", Node: graph(t, outer)})
	if got := ts.post("/v2/models/outer/generate", `{"q":"x","d":["yes"]}`, 200); got["said"] != "yes x" {
		t.Errorf("%v", got)
	}
	said := ""
	for _, e := range events(t, ts.do("POST", "/v2/models/outer/generate_stream", `{"q":"x","d":["yes"]}`).body) {
		var part struct{ Said string }
		must(t, json.Unmarshal([]byte(e), &part))
		said += part.Said
	}
	if said != "yes x" {
		t.Errorf("%q", said)
	}
	circle := outer
	circle.Name, circle.Steps = "answer", []ensemble.Step{{Model: "outer", In: pairs("q", "q", "d", "d"), Out: pairs("said", "said")}}
	m := Model{Name: "answer", Node: graph(t, circle)}
	if err := ts.Offer(t.Context(), "answer", &m); err == nil {
		if a := ts.do("POST", "/v2/models/outer/generate", `{"q":"x","d":["yes"]}`); a.status != 503 {
			t.Errorf("a circle: %d %s", a.status, a.body)
		}
	}
}

// FuzzNodeInfer: no body makes an ensemble fail.
func FuzzNodeInfer(f *testing.F) {
	f.Add([]byte(askAnswer), false)
	f.Add([]byte(`{"query":"q","documents":[["a"],["b"]],"parameters":{"timeout":1}}`), true)
	m := Model{Name: "answer", Node: graph(f, answering())}
	must(f, m.prepare())
	f.Fuzz(func(t *testing.T, body []byte, generate bool) {
		if !generate {
			return
		}
		in, err := readGenerate(body, &m)
		if err != nil {
			return
		}
		inputs, err := in.tensors(&m)
		if err != nil {
			return
		}
		for _, spec := range m.Node.Signature().Inputs {
			if given := inputs[spec.Name]; given == nil && !spec.Optional || given != nil && (given.Type != spec.Type || len(given.Shape) != len(spec.Dims)) {
				t.Fatalf("%s of %s: %v", spec.Name, bytes.TrimSpace(body), given)
			}
		}
	})
}
