package main

import (
	"math"
	"path/filepath"
	"testing"

	"llmc/internal/clitest"
	"llmc/internal/golden"
)

// An image and a text give features each, and a logit together, which is the scaled cosine of these.
func TestLogitsOfImages(t *testing.T) {
	dir := golden.Shared(t, "checkpoints", "clip")
	plan, image := buildDemo(t, "../../shared/checkpoints/clip"), filepath.Join(dir, "image1.png")
	var seen, read struct{ Embedding []float64 }
	clitest.Run(t, "", "logits", plan, "--image", image, "--json").JSON(t, &seen)
	clitest.Run(t, "", "logits", plan, "--text", "two dogs", "--json").JSON(t, &read)
	var both struct{ Logits [][]float64 }
	clitest.Run(t, "", "logits", plan, "--image", image, "--text", "two dogs", "--json").JSON(t, &both)
	if len(seen.Embedding) != 48 || len(read.Embedding) != 48 || len(both.Logits) != 1 || len(both.Logits[0]) != 1 {
		t.Fatalf("%v, %v, %v", seen, read, both)
	}
	var product, a, b float64
	for i, x := range seen.Embedding {
		y := read.Embedding[i]
		product, a, b = product+x*y, a+x*x, b+y*y
	}
	const scale = 14.285 // exp(2.6592), the checkpoint's
	if want := scale * product / math.Sqrt(a*b); math.Abs(both.Logits[0][0]-want) > 0.01 {
		t.Errorf("logit %v, want %v", both.Logits[0][0], want)
	}
	clitest.Run(t, "", "logits", plan, "--image", filepath.Join(dir, "config.json")).Refused(t, 1, "config.json: not an image that is understood")
	clitest.Run(t, "", "logits", plan, "--image", image, "--text", "a", "--text-pair", "b").Refused(t, 2, "--image goes with one text")
}
