package server

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"llmc/runtime"
	"llmc/runtime/encode"
)

// fakeEncoder gives of a sequence the number of its tokens, its first id and the length of its prompt; or as a score a part of that.
type fakeEncoder struct {
	gives  string
	images bool
	err    error
}

func (f *fakeEncoder) Reads() (texts, images bool) { return true, f.images }

// Image is a sequence of as many rows as the file has bytes.
func (f *fakeEncoder) Image(file []byte) (encode.Input, error) {
	if string(file) == "GIF89a" {
		return encode.Input{}, errors.New("not an image")
	}
	return encode.Input{IDs: make([]int32, len(file)), Soft: make([]float32, len(file))}, nil
}

// Pixels is a sequence of two rows.
func (f *fakeEncoder) Pixels(values []float32) (encode.Input, error) {
	return encode.Input{IDs: make([]int32, 2), Soft: values}, nil
}

func (f *fakeEncoder) Gives() string { return f.gives }

func (f *fakeEncoder) Width() int {
	if f.gives == "score" {
		return 1
	}
	return 3
}

func (f *fakeEncoder) Health() error { return f.err }

func (f *fakeEncoder) Text(prompt string, texts ...string) (encode.Input, error) {
	if prompt == "other" {
		return encode.Input{}, fmt.Errorf("%w: %q; the plan has none", encode.ErrPrompt, prompt)
	}
	ids, err := byteTokenizer{}.Encode(prompt+strings.Join(texts, "|"), true)
	return encode.Input{IDs: ids[min(1, len(ids)):]}, err
}

func (f *fakeEncoder) Encode(_ context.Context, inputs []encode.Input) ([][]float32, error) {
	var rows [][]float32
	for i, in := range inputs {
		if len(in.IDs) > 40 {
			return nil, fmt.Errorf("%w: input %d: %d tokens, at most 40", runtime.ErrBadRequest, i, len(in.IDs))
		}
		n := float32(len(in.IDs))
		if f.gives == "score" {
			rows = append(rows, []float32{n / 64})
			continue
		}
		rows = append(rows, []float32{3, 4, n})
	}
	return rows, f.err
}

// startEncoders serves encoders of each kind beside a model that generates.
func startEncoders(t *testing.T) *testServer {
	t.Helper()
	b := &fakeBackend{}
	models := []Model{fakeModel("tiny", b)}
	for _, gives := range []string{"embedding", "score", "hidden", "logits"} {
		m := fakeModel(gives, nil)
		m.Backend, m.Chat, m.Encoder = nil, nil, &fakeEncoder{gives: gives}
		models = append(models, m)
	}
	return startServer(t, b, Config{Models: models})
}

func TestEmbeddings(t *testing.T) {
	ts := startEncoders(t)
	for body, want := range map[string]string{
		`"input":"abc"`:                         `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[3,4,3]}],"model":"embedding","usage":{"prompt_tokens":3,"total_tokens":3}}`,
		`"input":["a",""],"user":"x"`:           `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[3,4,1]},{"object":"embedding","index":1,"embedding":[3,4,0]}],"model":"embedding","usage":{"prompt_tokens":1,"total_tokens":1}}`,
		`"input":[5,6]`:                         `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[3,4,2]}],"model":"embedding","usage":{"prompt_tokens":2,"total_tokens":2}}`,
		`"input":[[5],[6,7]],"dimensions":2`:    `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.6,0.8]},{"object":"embedding","index":1,"embedding":[0.6,0.8]}],"model":"embedding","usage":{"prompt_tokens":3,"total_tokens":3}}`,
		`"input":"a","prompt_name":"q"`:         `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[3,4,2]}],"model":"embedding","usage":{"prompt_tokens":2,"total_tokens":2}}`,
		`"input":"a","encoding_format":"float"`: `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[3,4,1]}],"model":"embedding","usage":{"prompt_tokens":1,"total_tokens":1}}`,
	} {
		a := ts.do("POST", "/v1/embeddings", `{"model":"embedding",`+body+`}`)
		if a.status != 200 || strings.TrimSpace(a.body) != want {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	v := ts.post("/v1/embeddings", `{"model":"embedding","input":"a","encoding_format":"base64"}`, 200)
	text := v["data"].([]any)[0].(map[string]any)["embedding"].(string)
	bytes, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(bytes) != 12 || math.Float32frombits(binary.LittleEndian.Uint32(bytes[4:])) != 4 {
		t.Errorf("base64 %q: %v", text, err)
	}
}

func TestRerankAndScore(t *testing.T) {
	ts := startEncoders(t)
	for _, c := range []struct{ path, body, want string }{
		{"/v1/rerank", `"model":"score","query":"q","documents":["a","abcde",{"text":"abc"}]`,
			`{"id":"rerank-0123","model":"score","usage":{"prompt_tokens":15,"total_tokens":15},"results":[{"index":1,"document":{"text":"abcde"},"relevance_score":0.109375},{"index":2,"document":{"text":"abc"},"relevance_score":0.078125},{"index":0,"document":{"text":"a"},"relevance_score":0.046875}]}`},
		{"/v1/rerank", `"model":"score","query":"q","documents":["a","abcde"],"top_n":1,"return_documents":false`,
			`{"id":"rerank-0123","model":"score","usage":{"prompt_tokens":10,"total_tokens":10},"results":[{"index":1,"relevance_score":0.109375}]}`},
		{"/v1/rerank", `"model":"embedding","query":"","documents":[""],"return_documents":false`,
			`{"id":"rerank-0123","model":"embedding","usage":{"prompt_tokens":0,"total_tokens":0},"results":[{"index":0,"relevance_score":1}]}`},
		{"/v1/score", `"model":"score","text_1":"q","text_2":["a","abcde"]`,
			`{"id":"score-0123","object":"list","created":1700000001,"model":"score","data":[{"index":0,"object":"score","score":0.046875},{"index":1,"object":"score","score":0.109375}],"usage":{"prompt_tokens":10,"total_tokens":10}}`},
		{"/v1/score", `"model":"score","text_1":["qq","q"],"text_2":["a","a"]`,
			`{"id":"score-0123","object":"list","created":1700000001,"model":"score","data":[{"index":0,"object":"score","score":0.0625},{"index":1,"object":"score","score":0.046875}],"usage":{"prompt_tokens":7,"total_tokens":7}}`},
	} {
		a := ts.do("POST", c.path, "{"+c.body+"}")
		if a.status != 200 || strings.TrimSpace(a.body) != c.want {
			t.Errorf("%s: %d %s", c.body, a.status, a.body)
		}
	}
}

// What a model's kind does not serve is refused by name, and so are bodies that ask for what there is not.
func TestEncoderRefusals(t *testing.T) {
	ts := startEncoders(t)
	for _, c := range []struct{ path, body, param, text string }{
		{"/v1/embeddings", `"model":"tiny","input":"x"`, "model", `"tiny\" generates text`},
		{"/v1/rerank", `"model":"tiny","query":"x","documents":["y"]`, "model", `"tiny\" generates text`},
		{"/v1/completions", `"model":"embedding","prompt":"x"`, "model", "makes embeddings of texts, it generates none; use /v1/embeddings"},
		{"/v1/chat/completions", `"model":"score","messages":[{"role":"user","content":"x"}]`, "model", "makes scores of texts, it generates none; use /v1/rerank"},
		{"/v1/embeddings", `"model":"score","input":"x"`, "model", "makes scores of texts; use /v1/rerank or /v1/score"},
		{"/v1/embeddings", `"model":"hidden","input":"x"`, "model", "makes a row for each token of texts; use llmrun logits"},
		{"/v1/score", `"model":"logits","text_1":"x","text_2":"y"`, "model", "makes logits of labels"},
		{"/v1/embeddings", `"model":"embedding"`, "input", "missing required parameter: input"},
		{"/v1/embeddings", `"model":"embedding","input":[]`, "input", "must not be empty"},
		{"/v1/embeddings", `"model":"embedding","input":[[]]`, "input", "empty arrays"},
		{"/v1/embeddings", `"model":"embedding","input":["x",1]`, "input", "of one kind throughout"},
		{"/v1/embeddings", `"model":"embedding","input":[258]`, "input", "not a token id"},
		{"/v1/embeddings", `"model":"embedding","input":"untokenizable"`, "input", "unknown symbol"},
		{"/v1/embeddings", `"model":"embedding","input":"x","dimensions":4`, "dimensions", "more than the embeddings"},
		{"/v1/embeddings", `"model":"embedding","input":"x","dimensions":0`, "dimensions", "from 1 to"},
		{"/v1/embeddings", `"model":"embedding","input":"x","encoding_format":"int8"`, "encoding_format", "must be float or base64"},
		{"/v1/embeddings", `"model":"embedding","input":"x","prompt_name":"other"`, "prompt_name", "no such prompt"},
		{"/v1/embeddings", `"model":"embedding","input":"x","temperature":1`, "temperature", "unknown parameter"},
		{"/v1/rerank", `"model":"score","query":"x"`, "documents", "missing required parameter: documents"},
		{"/v1/rerank", `"model":"score","query":["x"],"documents":["y"]`, "query", "must be a string"},
		{"/v1/rerank", `"model":"score","query":"x","documents":[{"text":"y","more":1}]`, "documents", "an array of strings"},
		{"/v1/score", `"model":"score","text_1":["x","y"],"text_2":["z"]`, "text_1", "must be one text, or as many as text_2 has"},
	} {
		a := ts.do("POST", c.path, "{"+c.body+"}")
		if e := a.errorOf(t); a.status != 400 || e["param"] != c.param || !strings.Contains(a.body, c.text) {
			t.Errorf("%s %s: %d %s", c.path, c.body, a.status, a.body)
		}
	}
	a := ts.do("POST", "/v1/embeddings", `{"model":"embedding","input":"`+strings.Repeat("x", 41)+`"}`)
	if a.status != 400 || !strings.Contains(a.body, "input 0: 41 tokens, at most 40") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A server is as healthy as its encoders.
func TestEncoderHealth(t *testing.T) {
	m := fakeModel("embedding", nil)
	f := &fakeEncoder{gives: "embedding"}
	m.Backend, m.Encoder = nil, f
	ts := startServer(t, nil, Config{Models: []Model{m}})
	if a := ts.do("GET", "/health", ""); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	f.err = fmt.Errorf("broken")
	if a := ts.do("GET", "/health", ""); a.status != 503 {
		t.Errorf("%d %s", a.status, a.body)
	}
}
