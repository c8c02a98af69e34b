package compiler_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime"
	"llmc/runtime/device/cpu"
	"llmc/runtime/encode"
	"llmc/runtime/pixels"
)

// seen is what transformers recorded of a model that reads images.
type seen struct {
	Kind   string
	Cases  []struct{ Key, File string } // of classifiers
	Images []struct{ Key, File string }
	Texts  []struct {
		Key, Text string
		IDs       []int32
	}
	dir     string
	tensors *hf.File
}

// visionDirs are the checkpoints of models that read images.
var visionDirs = []string{"vit-classifier", "clip", "siglip"}

func openSeen(t *testing.T, name string) *seen {
	t.Helper()
	s := &seen{dir: filepath.Join(golden.Shared(t), "checkpoints", name)}
	s.tensors = openRecorded(t, s.dir, s)
	s.Images = append(s.Images, s.Cases...)
	return s
}

func (s *seen) tensor(t *testing.T, name string) []float32 {
	t.Helper()
	g := goldenFile{dir: s.dir, tensors: s.tensors}
	return g.tensor(t, name)
}

// open builds a plan of the given format and loads it.
func (s *seen) open(t *testing.T, options compiler.Options, settings engine.Settings) (*engine.Plan, engine.Model) {
	t.Helper()
	return s.openOn(t, cpu.Device{}, options, settings)
}

// openOn does so on a device.
func (s *seen) openOn(t *testing.T, device engine.Device, options compiler.Options, settings engine.Settings) (*engine.Plan, engine.Model) {
	t.Helper()
	options.Model, options.Out, options.Check = s.dir, filepath.Join(t.TempDir(), "engine.plan"), true
	_, err := compiler.Build(t.Context(), options)
	check(t, err)
	plan, err := engine.Open(options.Out)
	check(t, err)
	model, err := device.Load(plan, settings)
	check(t, err)
	t.Cleanup(func() { model.Close(); plan.Close() })
	return plan, model
}

func (s *seen) file(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	check(t, err)
	return data
}

// The numbers that images become are those of transformers, resized or not.
func TestVisionPixels(t *testing.T) {
	for _, name := range visionDirs {
		s := openSeen(t, name)
		plan, _ := s.open(t, compiler.Options{Quant: "f32"}, engine.Settings{MaxSequences: 1})
		for _, im := range s.Images {
			got, err := pixels.Read(s.file(t, im.File), plan.Info().Image)
			check(t, err)
			if want := s.tensor(t, im.Key+".pixel_values"); !slices.Equal(got.Values, want) {
				most, _ := relative(got.Values, want)
				t.Errorf("%s, %s: pixel values differ by up to %.2g of their range", name, im.Key, most)
			}
		}
	}
}

// visionRuns are the ways in which recorded models are run, with what each may be off by: rows of 64 numbers lose more than those of real models.
var visionRuns = []struct {
	format, target string
	most           float64
}{
	{"f32", "", 1e-4}, {"f32", "x86-64-v3", 1e-4}, {"f32", "x86-64-v4", 1e-4}, {"bf16", "", 4e-2}, {"int8", "", 8e-2},
}

// skipLacking skips a test of a target that this processor can not run; "": of the best one.
func skipLacking(t *testing.T, target string) {
	t.Helper()
	if target == "" {
		return
	}
	if row, err := engine.FindTarget(target); err != nil || len(row.Missing()) > 0 {
		t.Skipf("SKIPPED: this processor lacks %v", row.Missing())
	}
}

// Features of images and texts, classes and what compares them are those of transformers; each alone the same bits as among others.
func TestVisionGoldens(t *testing.T) {
	for _, name := range visionDirs {
		for _, run := range visionRuns {
			t.Run(name+"/"+run.format+run.target, func(t *testing.T) {
				skipLacking(t, run.target)
				s := openSeen(t, name)
				options := compiler.Options{Quant: run.format}
				if run.target != "" {
					options.Archs = []string{run.target}
				}
				plan, model := s.open(t, options, engine.Settings{MaxSequences: 4, Threads: 2})
				images := s.images(t, plan, model, run.most)
				if len(s.Texts) > 0 {
					texts := s.texts(t, plan, model, run.most)
					s.compare(t, plan.Info().Encoder, images, texts, run.most)
				}
			})
		}
	}
}

// images returns what the model makes of the images, which is what was recorded.
func (s *seen) images(t *testing.T, plan *engine.Plan, model engine.Model, most float64) [][]float32 {
	t.Helper()
	e, err := encode.OfImages(plan, model, nil)
	check(t, err)
	var inputs []encode.Input
	for _, im := range s.Images {
		in, err := e.Image(s.file(t, im.File))
		check(t, err)
		inputs = append(inputs, in)
	}
	got, err := e.Run(inputs)
	check(t, err)
	what := map[string]string{"image-classifier": ".logits", "image-text": ".features"}[s.Kind]
	for i, im := range s.Images {
		s.hold(t, e, inputs[i], got[i], im.Key+what, most)
	}
	return got
}

// texts is images of the texts.
func (s *seen) texts(t *testing.T, plan *engine.Plan, model engine.Model, most float64) [][]float32 {
	t.Helper()
	tok, err := runtime.PlanTokenizer(plan)
	check(t, err)
	e, err := encode.New(plan, model, tok)
	check(t, err)
	var inputs []encode.Input
	for _, x := range s.Texts {
		in, err := e.Text("", x.Text)
		check(t, err)
		if !slices.Equal(in.IDs, x.IDs) {
			t.Errorf("%q: ids %v, want %v", x.Text, in.IDs, x.IDs)
		}
		inputs = append(inputs, in)
	}
	got, err := e.Run(inputs)
	check(t, err)
	for i, x := range s.Texts {
		s.hold(t, e, inputs[i], got[i], x.Key+".features", most)
	}
	return got
}

// hold compares what an encoder gave for an input with what was recorded, and with what it gives for that input alone.
func (s *seen) hold(t *testing.T, e *encode.Encoder, in encode.Input, got []float32, name string, most float64) {
	t.Helper()
	if off, _ := relative(got, s.tensor(t, name)); !(off <= most) {
		t.Errorf("%s: off by %.2g of the range", name, off)
	}
	alone, err := e.Run([]encode.Input{in})
	check(t, err)
	if !slices.Equal(alone[0], got) {
		t.Errorf("%s: other bits alone than among others", name)
	}
}

// compare wants the scaled cosines that were recorded.
func (s *seen) compare(t *testing.T, e *engine.EncoderInfo, images, texts [][]float32, most float64) {
	t.Helper()
	var got []float32
	for _, a := range images {
		for _, b := range texts {
			got = append(got, float32(e.Compare(a, b)))
		}
	}
	if off, _ := relative(got, s.tensor(t, "logits_per_image")); !(off <= most) {
		t.Errorf("logits per image: off by %.2g of the range", off)
	}
}

// Every value of both functions is what the reference interpreter makes of it.
func TestVerifyVision(t *testing.T) {
	for _, name := range visionDirs {
		for _, format := range []string{"f32", "bf16", "int8", "int4"} {
			t.Run(name+"/"+format, func(t *testing.T) {
				s := openSeen(t, name)
				plan, model := s.open(t, compiler.Options{Quant: format}, compiler.VerifySettings())
				v, err := compiler.Against(t.Context(), plan, model.(engine.Tracer), compiler.Original{Dir: s.dir})
				check(t, err)
				if !v.OK {
					t.Errorf("%+v", v)
				}
			})
		}
	}
}

// Other weights bring other numbers to compare by: a plan that is fitted to them is the one that a build makes.
func TestRefitVision(t *testing.T) {
	s := openSeen(t, "siglip")
	was, _ := s.open(t, compiler.Options{Quant: "f32"}, engine.Settings{MaxSequences: 1})
	other := filepath.Join(t.TempDir(), "other")
	check(t, os.CopyFS(other, os.DirFS(s.dir)))
	weights := filepath.Join(other, "model.safetensors")
	data, err := os.ReadFile(weights)
	check(t, err)
	data[tensorStart(t, data, "logit_bias")] ^= 1
	check(t, os.WriteFile(weights, data, 0o644))
	built, fitted := filepath.Join(t.TempDir(), "built.plan"), filepath.Join(t.TempDir(), "fitted.plan")
	_, err = compiler.Build(t.Context(), compiler.Options{Model: other, Out: built, Quant: "f32"})
	check(t, err)
	_, err = compiler.Refit(t.Context(), compiler.RefitOptions{Plan: was.Path(), Model: other, Out: fitted})
	check(t, err)
	want, err := os.ReadFile(built)
	check(t, err)
	got, err := os.ReadFile(fitted)
	check(t, err)
	if !bytes.Equal(got, want) {
		t.Error("fitted to other weights the plan is another one than a build makes of them")
	}
	if plan, err := engine.Open(fitted); err != nil || plan.Info().Encoder.LogitBias == was.Info().Encoder.LogitBias {
		t.Errorf("the bias is still that of the old weights, or %v", err)
	} else {
		check(t, plan.Close())
	}
}

// tensorStart is where a tensor's numbers lie in a safetensors file.
func tensorStart(t *testing.T, data []byte, name string) uint64 {
	t.Helper()
	size := binary.LittleEndian.Uint64(data)
	var header map[string]struct {
		Offsets []uint64 `json:"data_offsets"`
	}
	check(t, json.Unmarshal(data[8:8+size], &header))
	return 8 + size + header[name].Offsets[0]
}

// What does not fit a function is refused before it runs.
func TestVisionRefuses(t *testing.T) {
	s := openSeen(t, "clip")
	plan, model := s.open(t, compiler.Options{Quant: "f32"}, engine.Settings{MaxSequences: 2})
	images, err := encode.OfImages(plan, model, nil)
	check(t, err)
	texts, err := encode.New(plan, model, nil)
	check(t, err)
	good, err := images.Image(s.file(t, "image0.png"))
	check(t, err)
	if _, err := texts.Image(s.file(t, "image0.png")); !errors.Is(err, encode.ErrNoImages) {
		t.Errorf("an image for the encoder of texts: %v", err)
	}
	if _, err := images.Image([]byte("no image")); !errors.Is(err, pixels.ErrFormat) {
		t.Errorf("text for an image: %v", err)
	}
	for _, c := range []struct {
		name string
		e    *encode.Encoder
		in   encode.Input
		want string
	}{
		{"too few numbers", images, encode.Input{IDs: good.IDs, Soft: good.Soft[1:]}, "function image reads rows of 192"},
		{"tokens for an image", images, encode.Input{IDs: []int32{1, 2}}, "function image reads rows of 192"},
		{"too many rows", images, encode.Input{IDs: make([]int32, 18), Soft: make([]float32, 18*192)}, "18 tokens, at most 17"},
		{"rows for a text", texts, encode.Input{IDs: good.IDs, Soft: good.Soft}, "function text reads rows of 0"},
		{"no text", texts, encode.Input{}, "no tokens"},
	} {
		_, err := c.e.Run([]encode.Input{c.in})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := encode.Of(plan, model, nil, "sound"); err == nil || !strings.Contains(err.Error(), "it has image, text") {
		t.Errorf("a function that there is not: %v", err)
	}
}
