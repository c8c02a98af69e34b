package compiler_test

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/calib"
	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime"
	"llmc/runtime/device/cpu"
	"llmc/runtime/device/emu"
)

// recordedTexts are the checkpoints of encoder-decoders that there are recorded outputs of, by family.
var recordedTexts = map[string][]string{"t5": {"t5", "flan-t5-gated"}, "bart": {"bart"}}

// textFormats are those that they go through.
var textFormats = []string{"f32", "bf16", "int8", "int4"}

// textGolden is what transformers recorded of an encoder-decoder.
type textGolden struct {
	Prompts []struct {
		Name     string  `json:"name"`
		IDs      []int32 `json:"ids"`
		Start    int32   `json:"decoder_start"`
		Generate struct {
			IDs  []int32   `json:"ids"`
			Gaps []float64 `json:"gaps"`
		} `json:"generate"`
	} `json:"prompts"`

	dir     string
	tensors *hf.File
}

func textGoldens(t *testing.T) []*textGolden {
	t.Helper()
	var all []*textGolden
	for _, family := range slices.Sorted(maps.Keys(recordedTexts)) {
		for _, name := range recordedTexts[family] {
			g := &textGolden{dir: golden.Shared(t, "checkpoints", name)}
			g.tensors = openRecorded(t, g.dir, g)
			all = append(all, g)
		}
	}
	return all
}

// openText builds a plan of an encoder-decoder and loads it.
func openText(t *testing.T, options compiler.Options, settings engine.Settings) (engine.Model, *engine.Plan) {
	t.Helper()
	return openTextOn(t, cpu.Device{}, options, settings)
}

func openTextOn(t *testing.T, device engine.Device, options compiler.Options, settings engine.Settings) (engine.Model, *engine.Plan) {
	t.Helper()
	options.Check, options.Out = true, filepath.Join(t.TempDir(), "text.plan")
	_, err := compiler.Build(t.Context(), options)
	check(t, err)
	plan, err := engine.Open(options.Out)
	check(t, err)
	model, err := device.Load(plan, settings)
	check(t, err)
	t.Cleanup(func() { model.Close(); plan.Close() })
	return model, plan
}

// logitsOf returns the logits of the tokens that were recorded behind a text.
func logitsOf(t *testing.T, model engine.Model, vocab int, text, tokens []int32) []float32 {
	t.Helper()
	var rows []float32
	check(t, engine.ForwardText(model, vocab, text, tokens, func(int) bool { return true }, func(_ int, logits []float32) error {
		rows = append(rows, logits...)
		return nil
	}))
	return rows
}

// textErrors are how far logits may be from the recorded ones in narrower formats, root mean square: the scores of T5's random weights are large and not
// divided, so that its attention is decided by few positions.
var textErrors = map[string]map[string]float64{
	"f32":  {"t5": 1e-4, "flan-t5-gated": 1e-4, "bart": 1e-4},
	"bf16": {"t5": 0.6, "flan-t5-gated": 0.9, "bart": 0.06},
	"int8": {"t5": 1.7, "flan-t5-gated": 1.7, "bart": 0.12},
}

// Plans give the recorded logits: in f32 to its last digits on every target, in narrower formats as near as these come. Verify holds the others to what
// they should be.
func TestEncoderDecoderGoldens(t *testing.T) {
	for i, g := range textGoldens(t) {
		name := filepath.Base(g.dir)
		for j, variant := range append(slices.Sorted(maps.Keys(textErrors)), olderTargets...) {
			if !thorough() && variant != "f32" && (i+j)%2 == 0 {
				continue
			}
			t.Run(name+"/"+variant, func(t *testing.T) {
				options := compiler.Options{Model: g.dir, Quant: variant}
				if slices.Contains(olderTargets, variant) {
					skipLacking(t, variant)
					options.Quant, options.Archs = "f32", []string{variant}
				}
				model, plan := openText(t, options, engine.Settings{MaxSequences: 1, Threads: 2, MaxRows: 4})
				g.hold(t, model, plan.Info().Vocab, textErrors[options.Quant][name])
			})
		}
	}
}

// hold wants the recorded logits, which may be so far off, root mean square.
func (g *textGolden) hold(t *testing.T, model engine.Model, vocab int, most float64) {
	t.Helper()
	for _, p := range g.Prompts {
		got := logitsOf(t, model, vocab, p.IDs, append([]int32{p.Start}, p.Generate.IDs[:7]...))
		tensor := g.tensors.Tensor(p.Name + ".dec_logits")
		want := make([]float32, tensor.Elements())
		check(t, tensor.ReadRows(want, 0, tensor.Rows()))
		if _, off := relative(got, want); !(off <= most) {
			t.Errorf("%s: off by %.2g, at most %.2g", p.Name, off, most)
		}
	}
}

// The perplexity of recorded outputs, given their texts, is that of the recorded logits; against itself a plan does not diverge.
func TestPerplexityOfPairs(t *testing.T) {
	for _, g := range textGoldens(t) {
		t.Run(filepath.Base(g.dir), func(t *testing.T) {
			model, plan := openText(t, compiler.Options{Model: g.dir, Quant: "f32"}, engine.Settings{MaxSequences: 1, Threads: 2, MaxRows: 3})
			var pairs []calib.Pair
			loss, n := 0.0, 0
			for _, p := range g.Prompts {
				tensor := g.tensors.Tensor(p.Name + ".dec_logits")
				rows := int(tensor.Rows())
				logits := make([]float32, tensor.Elements())
				check(t, tensor.ReadRows(logits, 0, tensor.Rows()))
				pair := calib.Pair{Source: p.IDs, Target: p.Generate.IDs[:rows]}
				for i, next := range pair.Target {
					row, sum := logits[i*len(logits)/rows:(i+1)*len(logits)/rows], 0.0
					for _, x := range row {
						sum += math.Exp(float64(x - row[next]))
					}
					loss, n = loss+math.Log(sum), n+1
				}
				pairs = append(pairs, pair)
			}
			start, vocab := plan.Info().Source.Start, plan.Info().Vocab
			q, err := calib.EvaluatePairs(t.Context(), model, model, vocab, start, pairs, nil)
			check(t, err)
			if want := math.Exp(loss / float64(n)); q.Tokens != n || math.Abs(q.PPL/want-1) > 1e-4 || *q.KL > 1e-9 || *q.Top1 != 1 || *q.PPLRef != q.PPL {
				t.Errorf("%+v, want %v over %d tokens", q, want, n)
			}
			for _, p := range []calib.Pair{{Source: pairs[0].Source}, {Target: pairs[0].Target}} {
				if _, err := calib.EvaluatePairs(t.Context(), model, nil, vocab, start, []calib.Pair{p}, nil); err == nil {
					t.Errorf("%+v was scored", p)
				}
			}
		})
	}
}

// Requests that are served together, preempted now and then, with few pages, small pages and few tokens in a step, get the tokens that were recorded.
func TestEncoderDecodersTogether(t *testing.T) {
	for _, g := range textGoldens(t) {
		t.Run(filepath.Base(g.dir), func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "text.plan")
			_, err := compiler.Build(t.Context(), compiler.Options{Model: g.dir, Out: out, Quant: "f32"})
			check(t, err)
			for _, settings := range []engine.Settings{{}, {MaxStepTokens: 110, PageSize: 32, KVBytes: 1 << 20, Threads: 1}} {
				loaded, err := runtime.Load(out, "cpu", settings)
				check(t, err)
				g.serve(t, loaded, runtime.Options{PreemptEvery: 5})
				check(t, loaded.Close())
			}
		})
	}
}

// serve submits every recorded text twice, and wants the recorded tokens up to the first that another order of sums might change.
func (g *textGolden) serve(t *testing.T, loaded *runtime.Loaded, options runtime.Options) {
	t.Helper()
	e, err := runtime.New(loaded.Model, loaded.Info, nil, options)
	check(t, err)
	defer e.Close()
	var running []runtime.Generation
	for i := range 2 * len(g.Prompts) {
		p := g.Prompts[i%len(g.Prompts)]
		r, err := e.Submit(t.Context(), runtime.Request{Prompt: p.IDs, MaxTokens: len(p.Generate.IDs), IgnoreEOS: true, PromptLogprobs: -1, Sampling: engine.Sampling{Logprobs: -1}})
		check(t, err)
		running = append(running, r)
	}
	for i, r := range running {
		p := g.Prompts[i%len(g.Prompts)]
		tokens, err := tokensOf(t, r)
		check(t, err)
		sure := slices.IndexFunc(p.Generate.Gaps, func(gap float64) bool { return gap < 5e-3 })
		if sure < 0 {
			sure = len(p.Generate.IDs)
		}
		if len(tokens) != len(p.Generate.IDs) || !slices.Equal(tokens[:sure], p.Generate.IDs[:sure]) {
			t.Errorf("%s: %v, want %v", p.Name, tokens, p.Generate.IDs)
		}
		if u := r.Usage(); u.PromptTokens != len(p.IDs) || u.OutputTokens != len(tokens) {
			t.Errorf("%s: usage %+v", p.Name, u)
		}
	}
}

func tokensOf(t *testing.T, r runtime.Generation) (tokens []int32, err error) {
	t.Helper()
	for {
		event, more := r.Next(t.Context())
		if !more {
			return tokens, nil
		}
		if event.Err != nil {
			return nil, event.Err
		}
		if event.Token >= 0 {
			tokens = append(tokens, event.Token)
		}
	}
}

// An output begins and ends as generation_config.json says, and one that is to ignore its end does neither.
func TestForcedTokens(t *testing.T) {
	dir := golden.Shared(t, "checkpoints", "bart")
	settings := engine.Settings{MaxSequences: 2}
	t.Run("cpu", func(t *testing.T) {
		forcesTokens(t, cpu.Device{}, compiler.Options{Model: dir, Quant: "f32"}, settings)
	})
	t.Run("emu", func(t *testing.T) { // whose steps are begun before those before them have ended
		forcesTokens(t, emu.Device{}, compiler.Options{Model: dir, Quant: "bf16", Archs: []string{"sm80"}}, settings)
	})
}

func forcesTokens(t *testing.T, device engine.Device, options compiler.Options, settings engine.Settings) {
	t.Helper()
	model, plan := openTextOn(t, device, options, settings)
	info := plan.Info()
	if got, want := fmt.Sprintf("%+v", *info.Source), "{Start:[2] First:[0] Last:[2]}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	e, err := runtime.New(model, info, nil, runtime.Options{})
	check(t, err)
	defer e.Close()
	request := runtime.Request{Prompt: []int32{0, 469, 317, 2}, MaxTokens: 6, PromptLogprobs: -1, Sampling: engine.Sampling{Logprobs: -1}}
	r, err := e.Submit(t.Context(), request)
	check(t, err)
	tokens, err := tokensOf(t, r)
	check(t, err)
	if n := len(tokens); n == 0 || n > 6 || tokens[0] != 0 || tokens[n-1] != 2 {
		t.Errorf("tokens %v do not begin with 0 and end with 2", tokens)
	}
	request.IgnoreEOS = true
	r, err = e.Submit(t.Context(), request)
	check(t, err)
	free, err := tokensOf(t, r)
	check(t, err)
	if len(free) != 6 || free[0] == 0 {
		t.Errorf("tokens %v are not the model's own", free)
	}
	request.Prompt = make([]int32, info.MaxContext+1)
	if _, err := e.Submit(t.Context(), request); err == nil || !strings.Contains(err.Error(), "at most 256 are encoded") {
		t.Errorf("a text that is too long: %v", err)
	}
}

// Every value of both functions of a plan is what the reference interpreter makes of it.
func TestVerifyEncoderDecoders(t *testing.T) {
	for i, g := range textGoldens(t) {
		for j, format := range textFormats {
			if !thorough() && (i+j)%2 == 1 {
				continue
			}
			t.Run(filepath.Base(g.dir)+"/"+format, func(t *testing.T) {
				model, plan := openText(t, compiler.Options{Model: g.dir, Quant: format}, compiler.VerifySettings())
				v, err := compiler.Against(t.Context(), plan, model.(engine.Tracer), compiler.Original{Dir: g.dir})
				check(t, err)
				if !v.OK {
					t.Errorf("%+v", v)
				}
			})
		}
	}
}
