package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime"
	"llmc/runtime/device/cpu"
	"llmc/runtime/metrics"
	"llmc/runtime/server"
)

// shownCase is a conversation with images, and what transformers makes of it.
type shownCase struct {
	Key      string
	Messages []map[string]any
	Files    []string
	IDs      []int32
	Generate struct {
		IDs  []int32
		Gaps []float64
	}
}

// body is the request of a case: parts that are images hold the files.
func (c *shownCase) body(t *testing.T, model, dir, rest string) string {
	t.Helper()
	files := slices.Clone(c.Files)
	for _, m := range c.Messages {
		parts := m["content"].([]any)
		for i, p := range parts {
			if p.(map[string]any)["type"] == "image" {
				parts[i] = map[string]any{"type": "image_url", "image_url": map[string]any{"url": dataURL(t, filepath.Join(dir, files[0])), "detail": "auto"}}
				files = files[1:]
			}
		}
		if len(parts) == 1 && len(c.Files) == 0 { // a text alone may be a string
			m["content"] = parts[0].(map[string]any)["text"]
		}
	}
	messages, err := json.Marshal(c.Messages)
	wanted(t, err)
	return fmt.Sprintf(`{"model":%q,"messages":%s%s}`, model, messages, rest)
}

func dataURL(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	wanted(t, err)
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(data)
}

// servePlan offers a plan built of a recorded checkpoint.
func servePlan(t *testing.T, name string) server.Model {
	t.Helper()
	plan := plantest.Build(t, name, compiler.Options{Quant: "f32"})
	model, err := (cpu.Device{}).Load(plan, engine.Settings{MaxSequences: 4})
	wanted(t, err)
	served, e, err := server.NewModel(filepath.Base(name), &runtime.Loaded{Plan: plan, Info: plan.Info(), Model: model}, metrics.New(), runtime.Options{})
	wanted(t, err)
	t.Cleanup(func() { e.Close(); model.Close() })
	return served
}

func wanted(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serveModels serves models until the test ends, and returns what sends a chat request.
func serveModels(t *testing.T, models ...server.Model) (send func(body string) (int, []byte)) {
	t.Helper()
	s, err := server.New(server.Config{Models: models})
	wanted(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	wanted(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context(), ln) }()
	t.Cleanup(func() { <-done })
	return func(body string) (int, []byte) {
		t.Helper()
		answer, err := http.Post("http://"+ln.Addr().String()+"/v1/chat/completions", "application/json", strings.NewReader(body))
		wanted(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		wanted(t, err)
		return answer.StatusCode, text
	}
}

// Conversations with images are answered as transformers continues them, whatever form the chat template has; texts alone too.
func TestChatWithImages(t *testing.T) {
	names := []string{"llava-clip", "llava-siglip"}
	send := serveModels(t, servePlan(t, "checkpoints/"+names[0]), servePlan(t, "checkpoints/"+names[1]))
	for _, name := range names {
		dir := filepath.Join(golden.Root(t), "testdata", "checkpoints", name)
		var recorded struct{ Cases []shownCase }
		text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
		wanted(t, err)
		wanted(t, json.Unmarshal(text, &recorded))
		for _, c := range recorded.Cases {
			status, body := send(c.body(t, name, dir, `,"temperature":0,"max_tokens":12,"ignore_eos":true,"return_token_ids":true`))
			var got struct {
				Usage struct {
					Tokens int `json:"prompt_tokens"`
				}
				Choices []struct {
					IDs []int32 `json:"token_ids"`
				}
			}
			wanted(t, json.Unmarshal(body, &got))
			if status != 200 || got.Usage.Tokens != len(c.IDs) || len(got.Choices) != 1 || len(got.Choices[0].IDs) != len(c.Generate.IDs) {
				t.Fatalf("%s, %s: %d %s, want a prompt of %d tokens", name, c.Key, status, body, len(c.IDs))
			}
			ids := got.Choices[0].IDs
			for i, want := range c.Generate.IDs {
				if c.Generate.Gaps[i] < 0.005 {
					break
				}
				if ids[i] != want {
					t.Errorf("%s, %s: token %d is %v, want %d", name, c.Key, i, ids[i], want)
					break
				}
			}
		}
	}
}

// What is wrong with a part is said in one line, and names it; nothing is fetched.
func TestImagePartsAreRefused(t *testing.T) {
	served := servePlan(t, "checkpoints/llava-clip")
	served.MaxImages = 2
	send := serveModels(t, served, servePlan(t, plantest.Demo))
	good := dataURL(t, filepath.Join(golden.Root(t), "testdata", "checkpoints", "llava-clip", "image0.png"))
	part := func(url string) string { return `{"type":"image_url","image_url":{"url":"` + url + `"}}` }
	for _, c := range []struct{ model, parts, want string }{
		{"demo", part(good), `parts of type \"image_url\" are not supported, the model reads text`},
		{"llava-clip", part("https://example.com/cat.png"), "url: images are never fetched from other hosts, and no flag allows it"},
		{"llava-clip", part("file:///etc/passwd"), "url: must be data:image/png;base64"},
		{"llava-clip", part("data:text/html;base64,aGk="), `url: \"text/html;base64\" must be of an image`},
		{"llava-clip", part("data:image/png,abc"), "must be of an image in base64"},
		{"llava-clip", part("data:image/png;base64,!!!"), "url: is not valid base64"},
		{"llava-clip", part("data:image/png;base64,"), "url: holds no image"},
		{"llava-clip", part("data:image/png;base64,aGVsbG8="), "image 0: not an image that is understood"},
		{"llava-clip", strings.Repeat(part(good)+",", 2) + part(good), "there are more than 2 images"},
		{"llava-clip", `{"type":"image_url","image_url":"` + good + `"}`, "an object with url"},
		{"llava-clip", `{"type":"image_url"}`, "needs an object image_url"},
		{"llava-clip", `{"type":"image_url","image_url":{"url":"` + good + `","detail":"closest"}}`, `\"detail\" is not supported`},
		{"llava-clip", `{"type":"input_audio"}`, "the model reads text and image_url"},
		{"llava-clip", `{"type":"text","text":"<image>"}`, "1 tokens of the prompt stand for images, and there are 0 images"},
	} {
		status, body := send(`{"model":"` + c.model + `","messages":[{"role":"user","content":[` + c.parts + `]}]}`)
		if status != 400 || !strings.Contains(string(body), c.want) {
			t.Errorf("%.60s: %d %s, want %q", c.parts, status, body, c.want)
		}
	}
}
