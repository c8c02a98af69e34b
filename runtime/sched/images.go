package sched

import (
	"fmt"
	"slices"

	"llmc/engine"
)

// A prompt may have images among its tokens: runs of tokens whose embeddings are rows that function "image" makes. They are made before the step that takes in
// the image's first rows, in pages that are free for that long; the owner keeps them until the step with the last one has run, and makes them anew when
// the sequence was preempted before.

// Image is what tokens of a prompt stand for. Those of a prompt are in order and do not overlap.
type Image struct {
	At, Rows int   // the tokens: Rows of them, from At on
	Key      int32 // at least 0, and equal for images of equal pixels alone: prefixes are shared by it
	Owner    any   // returned by Shown
}

// Shown is a part of an image that a step takes in.
type Shown struct {
	Owner any
	Token int // first row of the step
	From  int // the image's row there
	Rows  int
	// Make is the pages in which the image's rows are made before the step; nil: they have been.
	Make []int32
	// Last: the step has the image's last row.
	Last bool
}

// checkImages makes room for the pages in which an image's rows are made beside the longest sequence: one that is alone must always fit.
func (c *Config) checkImages() error {
	if c.MaxImage == 0 {
		return nil
	}
	pages := (c.MaxImage + c.PageSize - 1) / c.PageSize
	if c.MaxImage > c.MaxStepTokens || c.MaxImage > c.MaxContext || pages >= c.Pages {
		return fmt.Errorf("scheduler: an image takes %d tokens of a step in %d pages; steps have %d at most, in a context of %d, and there are %d pages",
			c.MaxImage, pages, c.MaxStepTokens, c.MaxContext, c.Pages)
	}
	c.MaxContext = min(c.MaxContext, (c.Pages-pages)*c.PageSize)
	return nil
}

// content returns what decides the keys and values of the sequence's tokens: the tokens, and of images their keys, which are no tokens.
func (q *Sequence) content() []int32 {
	if len(q.request.Images) == 0 && q.keys == nil {
		return q.tokens
	}
	have := len(q.keys)
	q.keys = append(q.keys, q.tokens[have:]...)
	if have == 0 {
		for _, im := range q.request.Images {
			for i := im.At; i < im.At+im.Rows; i++ {
				q.keys[i] = -1 - im.Key
			}
		}
	}
	return q.keys
}

// unmade returns the first image from number i on of which tokens before position end are wanted and whose rows have not been made; -1: there is none.
func (q *Sequence) unmade(i, end int) int {
	for i = max(i, q.made); i < len(q.request.Images) && q.request.Images[i].At < end; i++ {
		if im := &q.request.Images[i]; im.At+im.Rows > q.computed {
			return i
		}
	}
	return -1
}

// imagePages returns how many pages the sequence needs for a while to make the rows of an image.
func (s *Scheduler) imagePages(q *Sequence) int {
	if q.unmade(0, len(q.tokens)) < 0 {
		return 0
	}
	return s.pool.PagesFor(s.config.MaxImage)
}

// shareImages lets the step make the rows of one image: it takes long, and others wait meanwhile. Sequences take in what comes before their next one.
// Where pages are short, worse-ranked sequences give theirs up.
func (s *Scheduler) shareImages() {
	if s.config.MaxImage == 0 {
		return
	}
	some := false
	for i := 0; i < len(s.running); i++ {
		q := s.running[i]
		end := q.computed + q.planned
		n := q.unmade(0, end)
		if n >= 0 && !some && s.placeImage(i) {
			some, n = true, q.unmade(n+1, end)
		}
		if n < 0 {
			continue
		}
		if q.planned = max(0, q.request.Images[n].At-q.computed); q.planned == 0 {
			q.drafts = q.drafts[:0]
		}
	}
}

// makesImages tells whether rows of an image would have to be made for what is planned.
func (s *Scheduler) makesImages() bool {
	return s.config.MaxImage > 0 && slices.ContainsFunc(s.running, func(q *Sequence) bool { return q.planned > 0 && q.unmade(0, q.computed+q.planned) >= 0 })
}

// placeImage finds pages for making an image of running sequence i.
func (s *Scheduler) placeImage(i int) bool {
	q := s.running[i]
	for !s.pool.Reserve(&q.source, s.config.MaxImage) {
		last := len(s.running) - 1
		if last == i {
			return false
		}
		s.preempt(last)
	}
	return true
}

// appendShown says which rows of images come in the part of the step that the sequence has, of which first is its first row.
func (s *Scheduler) appendShown(f *flight, q *Sequence, first int) {
	start, end := q.computed, q.computed+q.planned
	for i := range q.request.Images {
		im := &q.request.Images[i]
		from, to := max(start, im.At), min(end, im.At+im.Rows)
		if from >= to {
			continue
		}
		shown := Shown{Owner: im.Owner, Token: first + from - start, From: from - im.At, Rows: to - from, Last: to == im.At+im.Rows}
		if i >= q.made {
			shown.Make = append([]int32(nil), q.source.Pages()...)
			q.made = i + 1
		}
		f.shown = append(f.shown, shown)
	}
}

// releaseScratch gives back the pages in which images are made: the step uses them before any other can.
func (s *Scheduler) releaseScratch() {
	if s.config.MaxImage == 0 {
		return
	}
	for _, q := range s.running {
		s.pool.Release(&q.source)
	}
}

// Shown returns the parts of images in a step that Schedule has returned and that is in flight. The list is the scheduler's; it is good until Complete or Fail.
func (s *Scheduler) Shown(st *engine.Step) []Shown {
	for _, f := range s.flights {
		if &f.step == st {
			return f.shown
		}
	}
	return nil
}
