package compiler_test

import (
	"slices"
	"sync"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/device/cpu"
)

// asked is what a generation gave: tokens, and the bits of their log-probabilities.
type asked struct {
	ids    []int32
	probs  []float32
	cached int
}

// generate runs one prompt and returns what comes of it.
func generate(t *testing.T, e *runtime.Engine, ids []int32, pictures []*runtime.Picture) asked {
	t.Helper()
	g, err := e.Submit(t.Context(), runtime.Request{Prompt: ids, Pictures: pictures, MaxTokens: 12, IgnoreEOS: true, PromptLogprobs: -1, Sampling: engine.Sampling{Logprobs: 0}})
	if err != nil {
		t.Error(err)
		return asked{}
	}
	var a asked
	for {
		event, ok := g.Next(t.Context())
		if !ok {
			break
		}
		if event.Err != nil {
			t.Error(event.Err)
		}
		if event.Token >= 0 {
			a.ids, a.probs = append(a.ids, event.Token), append(a.probs, event.Logprob.Logprob)
		}
	}
	a.cached = g.Usage().CachedTokens
	return a
}

// schedule is a way in which recorded prompts are run, each so many times at once.
type schedule struct {
	settings engine.Settings
	options  runtime.Options
	copies   int
}

// schedules are alone, in chunks, beside others, after preemptions, with few pages, with and without the prefix cache, and with guesses. few is memory for 14
// pages.
func schedules(few int64) []schedule {
	return []schedule{
		{engine.Settings{MaxSequences: 1}, runtime.Options{NoPrefixCache: true}, 1},
		{engine.Settings{MaxSequences: 8, PageSize: 16}, runtime.Options{ChunkTokens: 9, PreemptEvery: 8}, 3},
		{engine.Settings{MaxSequences: 1, PageSize: 16}, runtime.Options{ChunkTokens: 5}, 2},
		{engine.Settings{MaxSequences: 8, PageSize: 16, KVBytes: few, MaxContext: 128}, runtime.Options{NoPrefixCache: true}, 3},
		{engine.Settings{MaxSequences: 4, Drafts: 3}, runtime.Options{Drafting: runtime.Drafting{Tokens: 3}}, 2},
	}
}

// What a prompt with images gives is what transformers gives, and the same bits whatever the schedule.
func TestImagesDoNotDependOnTheSchedule(t *testing.T) {
	openTold(t, "llava-clip").holdSchedules(t, cpu.Device{}, compiler.Options{Quant: "f32"}, schedules(112<<10), 0.005)
}

// holdSchedules wants the recorded tokens up to the first at which another one is as near as gap, and the same bits from all schedules.
func (g *told) holdSchedules(t *testing.T, device engine.Device, options compiler.Options, list []schedule, gap float64) {
	t.Helper()
	var want []asked
	for _, s := range list {
		loaded := g.openOn(t, device, options, s.settings)
		e, err := runtime.New(loaded.Model, loaded.Info, nil, s.options)
		check(t, err)
		got := make([]asked, s.copies*len(g.Cases))
		var group sync.WaitGroup
		for i := range got {
			c := g.Cases[i%len(g.Cases)]
			pictures := g.pictures(t, &loaded.Info, c.Files)
			group.Go(func() { got[i] = generate(t, e, c.IDs, pictures) })
		}
		group.Wait()
		check(t, e.Close())
		if want == nil {
			want = got
			g.holdTokens(t, want, gap)
		}
		for i, a := range got {
			w := want[i%len(want)]
			if !slices.Equal(a.ids, w.ids) || !slices.Equal(a.probs, w.probs) {
				t.Errorf("%+v %+v, prompt %s: %v %v, alone %v %v", s.settings, s.options.ChunkTokens, g.Cases[i%len(want)].Key, a.ids, a.probs, w.ids, w.probs)
			}
		}
	}
}

// holdTokens compares greedy tokens with the recorded ones up to the first near tie.
func (g *told) holdTokens(t *testing.T, got []asked, near float64) {
	t.Helper()
	for i, c := range g.Cases {
		n := slices.IndexFunc(c.Generate.Gaps, func(gap float64) bool { return gap < near })
		if n < 0 {
			n = len(c.Generate.IDs)
		}
		if !slices.Equal(got[i].ids[:n], c.Generate.IDs[:n]) {
			t.Errorf("%s: tokens %v, want %v", c.Key, got[i].ids, c.Generate.IDs[:n])
		}
	}
}

// The same image behind the same tokens is found in the cache, another one never is.
func TestImagesInThePrefixCache(t *testing.T) {
	g := openTold(t, "llava-clip")
	loaded := g.open(t, compiler.Options{Quant: "f32"}, engine.Settings{MaxSequences: 2, PageSize: 16})
	e, err := runtime.New(loaded.Model, loaded.Info, nil, runtime.Options{})
	check(t, err)
	defer e.Close()
	ids := g.Cases[0].IDs
	begin := slices.Index(ids, loaded.Info.Insert.Token)
	both := g.pictures(t, &loaded.Info, []string{"image0.png", "image1.png"})
	first := generate(t, e, ids, both[:1])
	again := generate(t, e, ids, g.pictures(t, &loaded.Info, []string{"image0.png"}))
	other := generate(t, e, ids, both[1:])
	back := generate(t, e, ids, both[:1])
	if whole := (len(ids) - 1) / 16 * 16; first.cached != 0 || again.cached != whole || back.cached != whole {
		t.Errorf("%d, %d and %d tokens of the same image were found, want 0 and %d twice", first.cached, again.cached, back.cached, whole)
	}
	if want := begin / 16 * 16; other.cached != want {
		t.Errorf("%d tokens of another image's prompt were found, want the %d before it", other.cached, want)
	}
	if !slices.Equal(first.probs, again.probs) || !slices.Equal(first.probs, back.probs) || slices.Equal(first.probs, other.probs) {
		t.Error("probabilities depend on the cache, or not on the image")
	}
	text := slices.Clone(ids) // an image's tokens as text are refused
	for _, r := range []runtime.Request{{Prompt: text}, {Prompt: text, Pictures: both}, {Prompt: text[:begin+3], Pictures: both[:1]}, {Prompt: text[:begin], Pictures: both[:1]}} {
		if _, err := e.Submit(t.Context(), r); err == nil {
			t.Errorf("%d tokens with %d images are taken", len(r.Prompt), len(r.Pictures))
		}
	}
}
