package compiler_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime"
	"llmc/runtime/device/cpu"
	"llmc/runtime/encode"
)

// encoderGolden is what sentence-transformers' pipeline recorded of a checkpoint.
type encoderGolden struct {
	Cases []struct {
		Key     string  `json:"key"`
		Text    string  `json:"text"`
		Prompt  string  `json:"prompt_name"`
		A       string  `json:"a"`
		B       string  `json:"b"`
		IDs     []int32 `json:"ids"`
		TypeIDs []int32 `json:"type_ids"`
		Score   float64 `json:"score_sigmoid"`
	} `json:"cases"`

	dir     string
	tensors *hf.File
}

// recordedEncoders are the checkpoints of encoders that there are recorded outputs of.
var recordedEncoders = []string{"bert-minilm", "xlm-roberta-embed", "xlm-roberta-reranker", "modernbert-embed", "qwen3-embedding"}

func encoderGoldens(t *testing.T) []*encoderGolden {
	t.Helper()
	var all []*encoderGolden
	for _, name := range recordedEncoders {
		g := &encoderGolden{dir: golden.Shared(t, "checkpoints", name)}
		g.tensors = openRecorded(t, g.dir, g)
		all = append(all, g)
	}
	return all
}

// openEncoder builds a plan and loads it with its tokenizer.
func openEncoder(t *testing.T, options compiler.Options, settings engine.Settings) *encode.Encoder {
	t.Helper()
	return openEncoderOn(t, cpu.Device{}, options, settings)
}

func openEncoderOn(t *testing.T, device engine.Device, options compiler.Options, settings engine.Settings) *encode.Encoder {
	t.Helper()
	options.Check, options.Out = true, filepath.Join(t.TempDir(), "encoder.plan")
	_, err := compiler.Build(t.Context(), options)
	check(t, err)
	plan, err := engine.Open(options.Out)
	check(t, err)
	model, err := device.Load(plan, settings)
	check(t, err)
	t.Cleanup(func() { model.Close(); plan.Close() })
	tok, err := runtime.PlanTokenizer(plan)
	check(t, err)
	e, err := encode.New(plan, model, tok)
	check(t, err)
	return e
}

// inputs makes the recorded sequences from texts, and wants the ids that were recorded.
func (g *encoderGolden) inputs(t *testing.T, e *encode.Encoder) []encode.Input {
	t.Helper()
	var inputs []encode.Input
	for _, c := range g.Cases {
		texts := []string{c.Text}
		if c.TypeIDs != nil {
			texts = []string{c.A, c.B}
		}
		in, err := e.Text(c.Prompt, texts...)
		check(t, err)
		if !slices.Equal(in.IDs, c.IDs) || c.TypeIDs != nil && !slices.Equal(in.Types, c.TypeIDs) {
			t.Errorf("%s: ids %v, want %v", c.Key, in.IDs, c.IDs)
		}
		inputs = append(inputs, in)
	}
	return inputs
}

// hold compares what an encoder gives with what was recorded.
func (g *encoderGolden) hold(t *testing.T, got [][]float32, cosine, score float64) {
	t.Helper()
	for i, c := range g.Cases {
		if c.TypeIDs != nil {
			if d := math.Abs(float64(got[i][0]) - c.Score); !(d <= score) {
				t.Errorf("%s: score %v, want %v", c.Key, got[i][0], c.Score)
			}
			continue
		}
		tensor := g.tensors.Tensor(c.Key + ".embedding")
		want := make([]float32, tensor.Elements())
		check(t, tensor.ReadRows(want, 0, tensor.Rows()))
		if cos := cosineOf(got[i], want); !(cos >= cosine) {
			t.Errorf("%s: cosine %v", c.Key, cos)
		}
	}
}

func cosineOf(a, b []float32) float64 {
	ab, aa, bb := 0.0, 0.0, 0.0
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

// encoderFormats are those that recorded encoders are held to, with what they may lose: for weights of that size bf16 and codes lose more than in models
// of hundreds of dimensions.
var encoderFormats = []struct {
	format        string
	cosine, score float64
}{{"f32", 0.99999, 1e-5}, {"bf16", 0.9998, 5e-3}, {"int8", 0.9995, 5e-3}}

// Plans give the recorded vectors and scores, each text alone the same bits as among others.
func TestEncoderGoldens(t *testing.T) {
	for n, g := range encoderGoldens(t) {
		for k, f := range encoderFormats {
			if k > 0 && (n+k)%2 != 0 && !thorough() {
				continue
			}
			t.Run(filepath.Base(g.dir)+"/"+f.format, func(t *testing.T) {
				e := openEncoder(t, compiler.Options{Model: g.dir, Quant: f.format}, engine.Settings{Threads: 2})
				inputs := g.inputs(t, e)
				got, err := e.Run(inputs)
				check(t, err)
				g.hold(t, got, f.cosine, f.score)
				for i := range inputs {
					alone, err := e.Run(inputs[i : i+1])
					check(t, err)
					if !slices.Equal(alone[0], got[i]) {
						t.Errorf("%s: alone %v, among others %v", g.Cases[i].Key, alone[0][:1], got[i][:1])
					}
				}
			})
		}
	}
}

// Other targets' kernels, other sizes of steps and pages, and one thread change no more than the target's own order of sums.
func TestEncoderTargets(t *testing.T) {
	for n, g := range encoderGoldens(t) {
		for k, target := range olderTargets {
			if (n+k)%2 != 0 && !thorough() {
				continue
			}
			t.Run(filepath.Base(g.dir)+"/"+target, func(t *testing.T) {
				skipLacking(t, target)
				options := compiler.Options{Model: g.dir, Quant: "f32", Archs: []string{target}}
				e := openEncoder(t, options, engine.Settings{Threads: 1, MaxStepTokens: 160, MaxSequences: 3})
				got, err := e.Run(g.inputs(t, e))
				check(t, err)
				g.hold(t, got, 0.99999, 1e-5)
				again := openEncoder(t, options, engine.Settings{Threads: 2, PageSize: 64})
				others, err := again.Run(g.inputs(t, again))
				check(t, err)
				if !slices.EqualFunc(got, others, slices.Equal) {
					t.Error("the step's size, the page's size and the number of threads change the vectors")
				}
			})
		}
	}
}

// Every value of an encoder's plan is what the reference interpreter makes of it.
func TestVerifyEncoders(t *testing.T) {
	for n, g := range encoderGoldens(t) {
		for k, format := range []string{"f32", "bf16", "int8", "int4"} {
			if (n+k)%2 != 0 && !thorough() {
				continue
			}
			t.Run(filepath.Base(g.dir)+"/"+format, func(t *testing.T) {
				out := filepath.Join(t.TempDir(), "encoder.plan")
				_, err := compiler.Build(t.Context(), compiler.Options{Model: g.dir, Out: out, Quant: format})
				check(t, err)
				plan, err := engine.Open(out)
				check(t, err)
				defer plan.Close()
				model, err := cpu.Device{}.Load(plan, compiler.VerifySettings())
				check(t, err)
				defer model.Close()
				v, err := compiler.Against(t.Context(), plan, model.(engine.Tracer), compiler.Original{Dir: g.dir})
				check(t, err)
				if !v.OK {
					t.Errorf("%+v", v)
				}
			})
		}
	}
}

// ownEncoders are the small checkpoints of this repository, for classes that shared ones do not have.
var ownEncoders = []string{"bert-labels", "roberta-rows", "roberta-score", "modernbert-labels", "modernbert-score"}

// Classes of classifiers, and rows of tokens, are what transformers recorded of one sequence of ids.
func TestOwnEncoders(t *testing.T) {
	for _, name := range ownEncoders {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(golden.Root(t), "testdata", "checkpoints", name)
			var want struct {
				IDs, Types []int32
				Result     string
				Values     []float32
			}
			text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
			check(t, err)
			check(t, json.Unmarshal(text, &want))
			out := filepath.Join(t.TempDir(), "encoder.plan")
			_, err = compiler.Build(t.Context(), compiler.Options{Model: dir, Out: out, Quant: "f32", Check: true})
			check(t, err)
			plan, err := engine.Open(out)
			check(t, err)
			defer plan.Close()
			model, err := cpu.Device{}.Load(plan, engine.Settings{Threads: 2})
			check(t, err)
			defer model.Close()
			e, err := encode.New(plan, model, nil)
			check(t, err)
			got, err := e.Run([]encode.Input{{IDs: want.IDs, Types: want.Types}})
			check(t, err)
			if e.Gives() != want.Result {
				t.Errorf("gives %s, not %s", e.Gives(), want.Result)
			}
			if most, _ := relative(got[0], want.Values); len(want.Values) > 1 && !(most <= 1e-5) || math.Abs(float64(got[0][0]-want.Values[0])) > 1e-5 {
				t.Errorf("%v, want %v", got[0], want.Values)
			}
		})
	}
}
