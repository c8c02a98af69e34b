package compiler_test

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/device/emu"
)

// textEmulatedRuns are a format for each target, with how far the logits of a plan of it may be from the recorded ones; see textErrors.
var textEmulatedRuns = []struct {
	target, format string
	most           map[string]float64
}{
	{"sm80", "bf16", map[string]float64{"t5": 0.6, "flan-t5-gated": 0.9, "bart": 0.06}},
	{"sm89", "int8", map[string]float64{"t5": 1.7, "flan-t5-gated": 1.7, "bart": 0.12}},
	{"sm90", "bf16", map[string]float64{"t5": 0.6, "flan-t5-gated": 0.9, "bart": 0.06}},
}

// GPU programs give the recorded logits, as near as plans for CPUs of the same formats come, and every value of both functions that the interpreter makes.
func TestEncoderDecodersEmulated(t *testing.T) {
	for n, g := range textGoldens(t) {
		name := filepath.Base(g.dir)
		for i, run := range textEmulatedRuns {
			if !inTurn(n, i) {
				continue
			}
			t.Run(run.target+"/"+run.format+"/"+name, func(t *testing.T) {
				options := compiler.Options{Model: g.dir, Quant: run.format, Archs: []string{run.target}}
				model, plan := openTextOn(t, emu.Device{}, options, engine.Settings{MaxSequences: 1, MaxRows: 80, Threads: 2})
				if !thorough() {
					g.Prompts = g.Prompts[1:3]
				}
				g.hold(t, model, plan.Info().Vocab, run.most[name])
				v, err := compiler.Against(t.Context(), plan, model.(engine.Tracer), compiler.Original{Dir: g.dir})
				check(t, err)
				if !v.OK {
					t.Errorf("%+v", v)
				}
			})
		}
	}
}

// What a text gives has the same bits alone, beside others, after preemptions, in pages of any size, in steps that are padded and, in long runs, by
// persistent entries; in plain runs one checkpoint goes through it.
func TestTextsDoNotDependOnTheSchedule(t *testing.T) {
	persistent, memory := engine.PersistentOff, int64(128<<10)
	if thorough() {
		persistent, memory = engine.PersistentOn, 512<<10 // for the longest text
	}
	for n, g := range textGoldens(t) {
		if !thorough() {
			g.Prompts = g.Prompts[1:3]
		}
		for i, run := range textEmulatedRuns {
			if !thorough() && (n != 1 || i != 0) {
				continue
			}
			t.Run(run.target+"/"+filepath.Base(g.dir), func(t *testing.T) {
				var want []asked
				for _, s := range []struct {
					device   emu.Device
					settings engine.Settings
					options  runtime.Options
					copies   int
				}{
					{emu.Device{}, engine.Settings{MaxSequences: 1}, runtime.Options{}, 1},
					{emu.Device{Pad: true}, engine.Settings{MaxStepTokens: 110, PageSize: 32, KVBytes: memory, MaxSequences: 3, Persistent: persistent}, runtime.Options{PreemptEvery: 5}, 2},
				} {
					s.settings.Threads = 2
					options := compiler.Options{Model: g.dir, Quant: run.format, Archs: []string{run.target}}
					model, plan := openTextOn(t, s.device, options, s.settings)
					e, err := runtime.New(model, plan.Info(), nil, s.options)
					check(t, err)
					got := make([]asked, s.copies*len(g.Prompts))
					var group sync.WaitGroup
					for i := range got {
						group.Go(func() { got[i] = generate(t, e, g.Prompts[i%len(g.Prompts)].IDs, nil) })
					}
					group.Wait()
					check(t, e.Close())
					if want == nil {
						want = got
					}
					for i, a := range got {
						w := want[i%len(want)]
						if len(a.ids) == 0 || !slices.Equal(a.ids, w.ids) || !slices.Equal(a.probs, w.probs) {
							t.Errorf("%+v, text %s: %v %v, alone %v %v", s.settings, g.Prompts[i%len(want)].Name, a.ids, a.probs, w.ids, w.probs)
						}
					}
				}
			})
		}
	}
}

// A step whose texts are not there, or not as long as it says, is refused before anything runs.
func TestStepsWithoutTextsAreRefused(t *testing.T) {
	g := textGoldens(t)[0]
	model, _ := openTextOn(t, emu.Device{}, compiler.Options{Model: g.dir, Quant: "bf16", Archs: []string{"sm80"}}, engine.Settings{MaxSequences: 1, MaxContext: 64})
	for _, c := range []struct {
		text   int
		change func(s *engine.Step)
		want   string
	}{
		{3, func(s *engine.Step) { s.Source = engine.Sources{} }, "page tables of texts do not cover it"},
		{3, func(s *engine.Step) { s.Source.Length[0] = 17 }, "a text of 17 tokens in pages for 16"},
		{3, func(s *engine.Step) { s.Encode.IDs[1] = 1 << 20 }, "texts: token 1: id 1048576"},
		{3, func(*engine.Step) {}, ""},
	} {
		s := &engine.Step{Encode: &engine.Step{}}
		s.Reset()
		s.Encode.IDs, s.Encode.Pages = append(s.Encode.IDs, make([]int32, c.text)...), append(s.Encode.Pages, 1)
		s.Encode.EndSequence(0, c.text, 16)
		s.IDs, s.Pages = append(s.IDs, 0), append(s.Pages, 0)
		s.EndSequence(0, 1, 16)
		s.Source.Add([]int32{1}, c.text)
		s.Rows = append(s.Rows, s.NextRow())
		c.change(s)
		err := model.Step(s, make([]engine.Sampled, 1))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
