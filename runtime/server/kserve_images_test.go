package server

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"llmc/engine"
	"llmc/runtime/ensemble"
)

// startVision serves a model that embeds texts and images, and one that labels images.
func startVision(t *testing.T) *testServer {
	t.Helper()
	both, label := fakeModel("clip", nil), fakeModel("label", nil)
	both.Backend, both.Chat, both.Encoder = nil, nil, &fakeEncoder{gives: "embedding", images: true}
	label.Backend, label.Chat, label.Tokenizer, label.Encoder = nil, nil, nil, &imagesOnly{fakeEncoder{gives: "logits", images: true}}
	for _, m := range []*Model{&both, &label} {
		m.Info.Image = &engine.ImageSettings{Width: 4, Height: 2, Patch: 2}
	}
	look := ensemble.Graph{
		Name: "look", Inputs: []ensemble.Spec{specOf("file", "BYTES", false, 1)}, Outputs: []ensemble.Spec{specOf("vector", "FP32", false, -1, 3), specOf("labels", "FP32", false, -1, 3)},
		Steps: []ensemble.Step{
			{Model: "clip", In: pairs("image", "file"), Out: pairs("embedding", "vector")},
			{Model: "label", In: pairs("image", "file"), Out: pairs("logits", "labels")},
		},
	}
	b := &fakeBackend{}
	return startServer(t, b, Config{Models: []Model{both, label, fakeModel("tiny", b), {Name: "look", Node: graph(t, look)}}})
}

// imagesOnly reads no texts.
type imagesOnly struct{ fakeEncoder }

func (*imagesOnly) Reads() (texts, images bool) { return false, true }

// A file is taken as it is, in base64, and as a data URL, and numbers for what is prepared; what the model gives has a row for each.
func TestInferImages(t *testing.T) {
	ts := startVision(t)
	png := "\x89PNG\r\n\x1a\n"
	coded := base64.StdEncoding.EncodeToString([]byte(png))
	const rows = `"outputs":[{"name":"logits","datatype":"FP32","shape":[2,3],"data":[3,4,8,3,4,8]}]`
	a := ts.do("POST", "/v2/models/label/infer", fmt.Sprintf(`{"inputs":[{"name":"image","datatype":"BYTES","shape":[2,1],"data":[%q,"data:image/png;base64,%s"]}]}`, coded, coded))
	if a.status != 200 || !strings.Contains(a.body, rows) {
		t.Errorf("files in JSON: %d %s", a.status, a.body)
	}
	var raw []byte
	for range 2 {
		raw = append(binary.LittleEndian.AppendUint32(raw, uint32(len(png))), png...)
	}
	head := fmt.Sprintf(`{"inputs":[{"name":"image","datatype":"BYTES","shape":[2,1],"parameters":{"binary_data_size":%d}}]}`, len(raw))
	a = ts.do("POST", "/v2/models/label/infer", head+string(raw), headerLength+": "+fmt.Sprint(len(head)))
	if a.status != 200 || !strings.Contains(a.body, rows) {
		t.Errorf("files as they are: %d %s", a.status, a.body)
	}
	var values []byte
	for i := range 2 * 3 * 2 * 4 {
		values = binary.LittleEndian.AppendUint32(values, math.Float32bits(float32(i)))
	}
	head = fmt.Sprintf(`{"inputs":[{"name":"pixel_values","datatype":"FP32","shape":[2,3,2,4],"parameters":{"binary_data_size":%d}}]}`, len(values))
	a = ts.do("POST", "/v2/models/clip/infer", head+string(values), headerLength+": "+fmt.Sprint(len(head)))
	if a.status != 200 || !strings.Contains(a.body, `"name":"embedding","datatype":"FP32","shape":[2,3],"data":[3,4,2,3,4,2]`) {
		t.Errorf("numbers: %d %s", a.status, a.body)
	}
	a = ts.do("POST", "/v2/models/look/infer", fmt.Sprintf(`{"inputs":[{"name":"file","datatype":"BYTES","shape":[1],"data":[%q]}]}`, coded))
	if a.status != 200 || strings.Count(a.body, `"datatype":"FP32","shape":[1,3],"data":[3,4,8]`) != 2 {
		t.Errorf("steps of an ensemble: %d %s", a.status, a.body)
	}
	if n := encodedBytes.Load(); n != 0 {
		t.Errorf("%d bytes are held when nothing runs", n)
	}
	a = ts.do("POST", "/v2/models/clip/infer", `{"inputs":[{"name":"text","datatype":"BYTES","shape":[1,1],"data":["abc"]}]}`)
	if a.status != 200 || !strings.Contains(a.body, `"data":[3,4,3]`) {
		t.Errorf("a text: %d %s", a.status, a.body)
	}
}

// Models of images tell what they take, and refuse the rest by name.
func TestImageRefusals(t *testing.T) {
	ts := startVision(t)
	a := ts.do("GET", "/v2/models/label", "")
	if want := `"inputs":[{"name":"image","datatype":"BYTES","shape":[-1,1],"optional":true},{"name":"pixel_values","datatype":"FP32","shape":[-1,3,2,4],"optional":true}]`; !strings.Contains(a.body, want) {
		t.Errorf("metadata: %s", a.body)
	}
	image := func(data string) string {
		return `{"inputs":[{"name":"image","datatype":"BYTES","shape":[1,1],"data":["` + data + `"]}]}`
	}
	many := strings.Repeat(`"x",`, maxEncodedImages) + `"x"`
	for _, c := range []struct{ path, body, text string }{
		{"/v2/models/label/infer", image("https://example.org/x.png"), "never fetched from other hosts"},
		{"/v2/models/label/infer", image("*"), "must be an image file, in base64"},
		{"/v2/models/label/infer", image(base64.StdEncoding.EncodeToString([]byte("GIF89a"))), "image 0: not an image"},
		{"/v2/models/label/infer", `{"inputs":[{"name":"image","datatype":"FP32","shape":[1],"data":[1]}]}`, "must be BYTES"},
		{"/v2/models/label/infer", fmt.Sprintf(`{"inputs":[{"name":"image","datatype":"BYTES","shape":[%d],"data":[%s]}]}`, maxEncodedImages+1, many), "at most 256"},
		{"/v2/models/label/infer", `{"inputs":[{"name":"pixel_values","datatype":"FP32","shape":[1,3,4,2],"data":[` + strings.Repeat("0,", 23) + `0]}]}`, "of shape [images, 3, 2, 4]"},
		{"/v2/models/label/infer", `{"inputs":[{"name":"other","datatype":"FP32","shape":[1],"data":[0]}]}`, "has no such input"},
		{"/v2/models/tiny/infer", image("x"), "has no such input"},
		{"/tokenize", `{"model":"label","prompt":"x"}`, "makes logits of labels of images; it has no tokenizer"},
		{"/v1/rerank", `{"model":"label","query":"x","documents":["x"]}`, "makes logits of labels of images"},
		{"/v1/chat/completions", `{"model":"clip","messages":[{"role":"user","content":"x"}]}`, "makes embeddings of texts or images"},
	} {
		if a := ts.do("POST", c.path, c.body); a.status != 400 || !strings.Contains(a.body, c.text) {
			t.Errorf("%s %.90s: %d %s", c.path, c.body, a.status, a.body)
		}
	}
}

// Embeddings are made of images as vLLM's clients send them.
func TestEmbeddingsOfImages(t *testing.T) {
	ts := startVision(t)
	url := "data:image/png;base64," + base64.StdEncoding.EncodeToString([]byte("\x89PNG\r\n\x1a\n"))
	part := `{"type":"image_url","image_url":{"url":"` + url + `"}}`
	for _, c := range []struct {
		body, text string
		status     int
	}{
		{`"messages":[{"role":"user","content":[` + part + `]}]`, `"embedding":[3,4,8]}],"model":"clip","usage":{"prompt_tokens":8,"total_tokens":8}`, 200},
		{`"messages":[{"role":"user","content":[{"type":"text","text":"abc"}]}]`, `"embedding":[3,4,3]`, 200},
		{`"messages":[{"role":"user","content":"abc"}]`, `"embedding":[3,4,3]`, 200},
		{`"input":"abc"`, `"embedding":[3,4,3]`, 200},
		{`"input":"abc","messages":[{"role":"user","content":"abc"}]`, "give either input or messages", 400},
		{`"messages":[{"role":"user","content":[` + part + `,` + part + `]}]`, "an embedding is of one text or image", 400},
		{`"messages":[{"role":"system","content":"abc"}]`, "an embedding is of one text or image", 400},
		{`"messages":[]`, "an embedding is of one text or image", 400},
		{`"user":"x"`, "input", 400},
	} {
		if a := ts.do("POST", "/v1/embeddings", `{"model":"clip",`+c.body+`}`); a.status != c.status || !strings.Contains(a.body, c.text) {
			t.Errorf("%.120s: %d %s", c.body, a.status, a.body)
		}
	}
}
