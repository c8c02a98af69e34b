package main

import (
	"math"
	"path/filepath"
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
