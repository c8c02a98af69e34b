package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/internal/clitest"
	"llmc/internal/golden"
)

// An image and a text give features each, and a logit together: the cosine of these times what the model was trained to.
func TestLogitsOfImages(t *testing.T) {
	dir := golden.Shared(t, "checkpoints", "clip")
	plan, image := buildShared(t, "clip"), filepath.Join(dir, "image1.png")
	var seen struct{ Embedding []float64 }
	clitest.Run(t, "", "logits", plan, "--image", image, "--json").JSON(t, &seen)
	var scales []float64
	for _, text := range []string{"two dogs", "noise 123"} {
		var read struct{ Embedding []float64 }
		clitest.Run(t, "", "logits", plan, "--text", text, "--json").JSON(t, &read)
		var both struct{ Logits [][]float64 }
		clitest.Run(t, "", "logits", plan, "--image", image, "--text", text, "--json").JSON(t, &both)
		if len(seen.Embedding) != 48 || len(read.Embedding) != 48 || len(both.Logits) != 1 || len(both.Logits[0]) != 1 {
			t.Fatalf("%v, %v, %v", seen, read, both)
		}
		var product, a, b float64
		for i, x := range seen.Embedding {
			y := read.Embedding[i]
			product, a, b = product+x*y, a+x*x, b+y*y
		}
		scales = append(scales, both.Logits[0][0]/(product/math.Sqrt(a*b)))
	}
	if math.Abs(scales[0]-scales[1]) > 1e-3*scales[0] || scales[0] <= 1 {
		t.Errorf("logits are %v times the cosine", scales)
	}
	clitest.Run(t, "", "logits", plan, "--image", filepath.Join(dir, "config.json")).Refused(t, 1, "config.json: not an image that is understood")
	clitest.Run(t, "", "logits", plan, "--image", image, "--text", "a", "--text-pair", "b").Refused(t, 2, "--image goes with one text")
}

// An image is shown in front of a text, or where the text says; it changes what is said. What a prompt has of images must be what is given.
func TestShownImages(t *testing.T) {
	plan := buildDemo(t, "checkpoints/llava-siglip")
	dir := filepath.Join("..", "..", "testdata", "checkpoints", "llava-siglip")
	image, other := filepath.Join(dir, "image0.png"), filepath.Join(dir, "image1.png")
	var front, where, chat, last struct {
		Tokens []int32
		Prompt []int32 `json:"prompt_tokens"`
		Logits [][]float32
	}
	clitest.Run(t, "", "generate", plan, "--image", image, "--prompt", "Hi", "--max-tokens", "4", "--ignore-eos", "--json").JSON(t, &front)
	clitest.Run(t, "", "generate", plan, "--image", image, "--image", other, "--prompt", "a<image>b<image>", "--max-tokens", "4", "--ignore-eos", "--json").JSON(t, &where)
	if len(front.Prompt) != 9+1+2 || len(where.Prompt) != 2+18 || len(front.Tokens) != 4 {
		t.Errorf("prompts of %d and %d tokens, want 12 and 20", len(front.Prompt), len(where.Prompt))
	}
	clitest.Run(t, "", "logits", plan, "--image", image, "--text", "Hi", "--json").JSON(t, &last)
	if len(last.Logits) != 1 {
		t.Errorf("%d rows of logits", len(last.Logits))
	}
	best := slices.Index(last.Logits[0], slices.Max(last.Logits[0]))
	if int32(best) != front.Tokens[0] {
		t.Errorf("the largest logit is that of %d, generate says %d", best, front.Tokens[0])
	}
	clitest.Run(t, "", "generate", plan, "--image", image, "--chat", "What is this?", "--max-tokens", "4", "--ignore-eos", "--json").JSON(t, &chat)
	if want := []int32{2, 178, 178, 178}; !slices.Equal(chat.Tokens, want) { // as transformers says
		t.Errorf("said %v of the image, want %v", chat.Tokens, want)
	}
	if text := clitest.Run(t, "What is this?\n", "chat", plan, "--image", image).Done(t); text == "" {
		t.Error("chat says nothing")
	}
	clitest.Run(t, "", "generate", plan, "--prompt", "a<image>").Refused(t, 1, "1 tokens of the prompt stand for images, and there are 0 images")
	clitest.Run(t, "", "generate", plan, "--image", image, "--prompt", "<image><image>").Refused(t, 1, "2 tokens of the prompt stand for images, and there are 1 images")
}

// Models that read images are served beside each other: what comes back over HTTP is what `llmrun logits` computes.
func TestServeImages(t *testing.T) {
	names := []string{"vit-classifier", "clip"}
	var plans []string
	for _, name := range names {
		built := buildShared(t, name)
		plans = append(plans, filepath.Join(filepath.Dir(built), name+".plan"))
		if err := os.Rename(built, plans[len(plans)-1]); err != nil {
			t.Fatal(err)
		}
	}
	address := serveClients(t, plans...)
	for i, name := range names {
		file := filepath.Join(golden.Shared(t, "checkpoints", name), "image2.png")
		var want struct {
			Logits    [][]float64
			Embedding []float64
		}
		clitest.Run(t, "", "logits", plans[i], "--image", file, "--json").JSON(t, &want)
		rows := append(want.Logits, want.Embedding)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		body := fmt.Sprintf(`{"inputs":[{"name":"image","datatype":"BYTES","shape":[1,1],"data":[%q]}]}`, base64.StdEncoding.EncodeToString(data))
		req, err := http.NewRequestWithContext(t.Context(), "POST", address+"/v2/models/"+name+"/infer", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + clientKey}}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Outputs []struct{ Data []float64 } }
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		resp.Body.Close()
		if len(got.Outputs) != 1 || !slices.EqualFunc(got.Outputs[0].Data, rows[0], closeTo) {
			t.Errorf("%s: %v, want %v", name, got, rows[0])
		}
	}
}

func closeTo(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Abs(b) }
