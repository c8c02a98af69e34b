package compiler_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime/device/emu"
	"llmc/runtime/encode"
)

// inTurn tells whether a plain run takes checkpoint n to the target of that number; with LLMC_LONG all go to all.
func inTurn(n, target int) bool { return n%len(emulatedTargets) == target || thorough() }

// GPU programs give the recorded vectors and scores, and each text has the same bits alone and among others, in steps and pages of any size.
func TestEncodersEmulated(t *testing.T) {
	for n, g := range encoderGoldens(t) {
		if !thorough() {
			g.Cases = g.Cases[:2]
		}
		for i, target := range emulatedTargets {
			for k, f := range encoderFormats[1:] { // GPUs multiply no f32
				if !inTurn(n, i) || k != n%2 && !thorough() {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", target, f.format, filepath.Base(g.dir)), func(t *testing.T) {
					options := compiler.Options{Model: g.dir, Quant: f.format, Archs: []string{target}}
					e := openEncoderOn(t, emu.Device{}, options, engine.Settings{Threads: 2})
					inputs := g.inputs(t, e)
					got, err := e.Run(inputs)
					check(t, err)
					cosine := f.cosine
					if f.format != "bf16" { // inputs of codes are bf16 there, and lose what it may lose beside
						cosine -= 1 - encoderFormats[1].cosine
					}
					g.hold(t, got, cosine, f.score)
					few := openEncoderOn(t, emu.Device{}, options, engine.Settings{Threads: 1, MaxStepTokens: 160, MaxSequences: 1, PageSize: 64})
					others := g.inputs(t, few)
					if !thorough() {
						others = others[:1]
					}
					alone, err := few.Run(others)
					check(t, err)
					if !slices.EqualFunc(alone, got[:len(others)], slices.Equal) {
						t.Error("what shares a step with a text, or the size of pages, changes its vector")
					}
				})
			}
		}
	}
}

// Every value of an encoder's GPU program is what the reference interpreter makes of it.
func TestVerifyEncodersEmulated(t *testing.T) {
	for n, g := range encoderGoldens(t) {
		for i, target := range emulatedTargets {
			for k, format := range emulatedFormats {
				if !inTurn(n+1, i) || (k != (3*n)%len(emulatedFormats) && !thorough()) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", target, format, filepath.Base(g.dir)), func(t *testing.T) {
					if v := verifiedOn(t, emu.Device{}, target, g.dir, g.dir, format); !v.OK {
						t.Errorf("%+v", *v)
					}
				})
			}
		}
	}
}

// Classes of classifiers, and rows of tokens, are near what transformers recorded of one sequence of ids in f32.
func TestOwnEncodersEmulated(t *testing.T) {
	for n, name := range ownEncoders {
		for i, target := range emulatedTargets {
			if !inTurn(n, i) {
				continue
			}
			t.Run(target+"/"+name, func(t *testing.T) {
				dir := filepath.Join(golden.Root(t), "testdata", "checkpoints", name)
				var want struct {
					IDs, Types []int32
					Result     string
					Values     []float32
				}
				text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
				check(t, err)
				check(t, json.Unmarshal(text, &want))
				model, e := loadEncoder(t, planOf(t, target, dir, "bf16"))
				got, err := e.Run([]encode.Input{{IDs: want.IDs, Types: want.Types}})
				check(t, err)
				if e.Gives() != want.Result {
					t.Errorf("gives %s, not %s", e.Gives(), want.Result)
				}
				if len(want.Values) == 1 && !(max(got[0][0]-want.Values[0], want.Values[0]-got[0][0]) <= 5e-3) || len(want.Values) > 1 && !(cosineOf(got[0], want.Values) >= 0.9998) {
					t.Errorf("%v, want %v", got[0], want.Values)
				}
				refusesSteps(t, model)
			})
		}
	}
}

func loadEncoder(t *testing.T, plan *engine.Plan) (engine.Model, *encode.Encoder) {
	t.Helper()
	model, err := emu.Device{}.Load(plan, engine.Settings{Threads: 2})
	check(t, err)
	t.Cleanup(func() { model.Close() })
	e, err := encode.New(plan, model, nil)
	check(t, err)
	return model, e
}

// refusesSteps wants a model without function "step" to say so, and what else can not be run.
func refusesSteps(t *testing.T, model engine.Model) {
	t.Helper()
	s := &engine.Step{}
	s.Reset()
	s.IDs, s.Pages = append(s.IDs, 1, 2), append(s.Pages, 0)
	s.EndSequence(0, 2, 16)
	runner := model.(engine.Runner)
	name := runner.Functions()[0]
	wide := *s
	wide.Soft = []float32{1}
	typed := *s
	typed.Types = []int32{0, 99}
	for _, c := range []struct {
		err  error
		text string
	}{
		{model.Step(s, nil), "the plan has no function step, it has " + name},
		{runner.Run("step", s, nil), "the plan has no function step"},
		{runner.Run("image", s, nil), "the plan has no function image"},
		{runner.Run(name, s, [][]float32{make([]float32, 0)}), "room for 0 numbers; result"},
		{runner.Run(name, s, make([][]float32, 2)), "room for 2 results"},
		{runner.Run(name, &wide, nil), "brings 1 numbers; function " + name + " reads rows of 0"},
		{runner.Run(name, &typed, nil), "token 1: type 99"},
		{runner.Run(name, s, nil), ""},
	} {
		if (c.err == nil) != (c.text == "") || c.err != nil && !strings.Contains(c.err.Error(), c.text) {
			t.Errorf("%v, want %q", c.err, c.text)
		}
	}
	check(t, model.Close())
	if err := runner.Run(name, s, nil); err == nil {
		t.Error("a closed model runs")
	}
}
