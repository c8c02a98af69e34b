package sched

import (
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/engine"
)

// shownDevice holds what each slot was written with, and whether it is told of the right rows of images.
type shownDevice struct {
	t      *testing.T
	s      *Scheduler
	memory []int32
	made   map[*Sequence]map[int]bool // images whose rows the owner has
}

const poison = -1 << 30

// run does to memory what a step does, and wants every sequence to find what it wrote, or would have.
func (d *shownDevice) run(st *engine.Step) {
	d.t.Helper()
	shown := d.s.Shown(st)
	for _, x := range shown {
		for _, page := range x.Make { // pages of nobody
			if slices.Contains(st.Pages, page) {
				d.t.Fatalf("page %d is both an image's and a sequence's", page)
			}
			for i := range d.s.config.PageSize {
				d.memory[int(page)*d.s.config.PageSize+i] = poison
			}
		}
	}
	if n := len(slices.DeleteFunc(slices.Clone(shown), func(x Shown) bool { return x.Make == nil })); n > 1 {
		d.t.Fatalf("a step makes %d images", n)
	}
	for i, slot := range st.Slots {
		d.memory[slot] = st.IDs[i]
	}
	parts := d.s.flights[0].parts
	for _, x := range shown {
		b := slices.IndexFunc(parts, func(p part) bool {
			return slices.ContainsFunc(p.q.request.Images, func(im Image) bool { return im.Owner == x.Owner })
		})
		d.show(parts[b].q, &x, st)
	}
	for b, p := range parts {
		pages := st.Pages[st.PageStart[b]:st.PageStart[b+1]]
		for at := range int(st.Context[b]) {
			slot := int(pages[at/d.s.config.PageSize])*d.s.config.PageSize + at%d.s.config.PageSize
			if want := p.q.content()[at]; d.memory[slot] != want {
				d.t.Fatalf("position %d holds %d, want %d", at, d.memory[slot], want)
			}
		}
	}
}

// show writes rows of an image in place of tokens.
func (d *shownDevice) show(q *Sequence, x *Shown, st *engine.Step) {
	d.t.Helper()
	n := slices.IndexFunc(q.request.Images, func(im Image) bool { return im.Owner == x.Owner })
	im := &q.request.Images[n]
	if d.made[q] == nil {
		d.made[q] = map[int]bool{}
	}
	if x.Make != nil {
		if len(x.Make)*d.s.config.PageSize < d.s.config.MaxImage {
			d.t.Fatalf("an image of %d rows in %d pages", d.s.config.MaxImage, len(x.Make))
		}
		d.made[q][n] = true
	}
	if !d.made[q][n] {
		d.t.Fatalf("image %d is shown and was not made", n)
	}
	for i := range x.Rows {
		if at := int(st.Positions[x.Token+i]); at != im.At+x.From+i {
			d.t.Fatalf("row %d of the image that begins at %d comes at %d", x.From+i, im.At, at)
		}
		d.memory[st.Slots[x.Token+i]] = -1 - im.Key
	}
	if x.Last != (x.From+x.Rows == im.Rows) {
		d.t.Fatalf("rows %d to %d of %d: last is %v", x.From, x.From+x.Rows, im.Rows, x.Last)
	}
	if x.Last {
		delete(d.made[q], n) // the owner lets go of the rows
	}
}

// drawShown is a prompt of few different tokens with up to three of two images.
func drawShown(random *rand.Rand, rows int) Request {
	r := Request{MaxTokens: 1 + random.IntN(6), PromptLogprobs: -1}
	text := func() {
		for range 1 + random.IntN(7) {
			r.Prompt = append(r.Prompt, int32(1+random.IntN(2)))
		}
	}
	text()
	for range random.IntN(4) {
		r.Images = append(r.Images, Image{At: len(r.Prompt), Rows: rows, Key: random.Int32N(2), Owner: new(int)})
		for range rows {
			r.Prompt = append(r.Prompt, 9)
		}
		if random.IntN(2) == 0 {
			text()
		}
	}
	return r
}

// Whatever the chunks, the pages and the preemptions: a sequence finds its own tokens and images in its pages, each image's rows come once they are made, and
// all pages are free at the end.
func TestImagesInRandomSchedules(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for range 150 {
		rows := 3 + random.IntN(6)
		c := Config{Settings: engine.Settings{MaxStepTokens: rows + 1 + random.IntN(12), MaxSequences: 1 + random.IntN(4), MaxRows: 8, MaxContext: 64,
			PageSize: 1 + random.IntN(4)}, Vocab: 10, MaxImage: rows + random.IntN(2), ChunkTokens: 1 + random.IntN(9)}
		c.Pages = (64+2*rows)/c.PageSize + 2 + random.IntN(20)
		s, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		d := &shownDevice{t: t, s: s, memory: make([]int32, c.Pages*c.PageSize), made: map[*Sequence]map[int]bool{}}
		for range 6 {
			if r := drawShown(random, rows); len(r.Prompt) < s.MaxTokens() {
				if _, err := s.Add(r); err != nil {
					t.Fatal(err)
				}
			}
		}
		for steps := 0; s.HasWork(); steps++ {
			if steps > 2000 {
				t.Fatalf("no end of %+v", c)
			}
			if steps%17 == 16 {
				s.Preempt(1)
			}
			for q := range s.waiting.all() { // preempted ones have to be told anew
				delete(d.made, q)
			}
			st := s.Schedule(epoch)
			if st.T() > 0 {
				d.run(st)
				s.Complete(slices.Repeat([]engine.Sampled{{Token: 1}}, len(st.Rows)))
			}
			s.TakeOutputs(nil)
		}
		if s.pool.Available() != c.Pages {
			t.Fatalf("%d of %d pages are free", s.pool.Available(), c.Pages)
		}
	}
	if _, err := New(Config{Settings: engine.Settings{MaxStepTokens: 4, MaxSequences: 1, MaxRows: 1, MaxContext: 64, PageSize: 4}, Vocab: 10, Pages: 20, MaxImage: 5}); err == nil {
		t.Error("images of more tokens than a step has")
	}
}
