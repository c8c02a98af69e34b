// Package beam is beam search over outputs: it keeps the most probable unfinished ones, asks for what may follow each, and keeps the best that have ended.
// It is the algorithm of transformers' generate (GenerationMixin._beam_search of transformers 5), without a model: whoever drives it says how probable
// continuations are.
//
//	for s := beam.New(options); !s.Done(); {
//		s.Advance(continuations of each of s.Open())
//	}
//	best := s.Best()
package beam

import (
	"cmp"
	"math"
	"slices"

	"llmc/engine"
)

// Stopping says when a search ends before all outputs are as long as they may be.
type Stopping uint8

// The ways to stop, by the values of transformers' early_stopping.
const (
	Heuristic Stopping = iota // false: when the best unfinished output, scored at its present length, is no better than the worst of the ended ones
	First                     // true: when as many outputs have ended as are wanted
	Never                     // "never": when no unfinished output can become better than the worst of the ended ones
)

// Options of a search.
type Options struct {
	Width         int // outputs that are kept, and that have ended at last
	MaxTokens     int // of an output
	LengthPenalty float64
	Stopping      Stopping
	Ends          []int32 // tokens that end an output
}

// Candidates is how many continuations of an output are needed: as many as leave Width unfinished ones whatever ends.
func (o *Options) Candidates() int { return max(2, 1+len(o.Ends)) * o.Width }

// Output is one, unfinished or ended.
type Output struct {
	Tokens []int32
	// Steps has of each token the continuations that it was chosen from, and its own log-probability.
	Steps []engine.Sampled
	Sum   float64 // of the log-probabilities
	Score float64 // of an ended output: the sum, by the length to the power of the length penalty
	Ended bool    // by its last token; otherwise it is as long as it may be
}

// Search is a beam search.
type Search struct {
	options  Options
	open     []Output // most probable first
	ended    []Output // best first, at most Width
	hopeless bool     // the open ones can not become better
	over     bool     // all are as long as they may be
}

// New begins a search with the empty output.
func New(o Options) *Search { return &Search{options: o, open: []Output{{}}} }

// Open are the outputs whose continuations Advance wants. They must not be changed.
func (s *Search) Open() []Output { return s.open }

// Done tells whether the search is over.
func (s *Search) Done() bool {
	full := len(s.ended) == s.options.Width
	return s.over || len(s.open) == 0 || s.hopeless || full && s.options.Stopping == First
}

// Best are the ended outputs, the best first: Width of them, fewer where the vocabulary has no more.
func (s *Search) Best() []Output { return s.ended }

// candidate is a continuation of an open output.
type candidate struct {
	from  int
	token engine.TokenLogprob
	sum   float64
}

// Advance takes the most probable continuations of each open output, at least Options.Candidates where there are as many.
func (s *Search) Advance(next [][]engine.TokenLogprob) {
	var all []candidate
	for from, list := range next {
		for _, token := range list {
			if sum := s.open[from].Sum + float64(token.Logprob); sum > math.Inf(-1) {
				all = append(all, candidate{from, token, sum})
			}
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.sum, a.sum), cmp.Compare(a.from, b.from), cmp.Compare(a.token.Token, b.token.Token))
	})
	all = all[:min(len(all), s.options.Candidates())]
	length := len(s.open[0].Tokens) + 1
	s.over = length >= s.options.MaxTokens
	full := len(s.ended) == s.options.Width
	var open, ended []Output
	for i, c := range all {
		ends := slices.Contains(s.options.Ends, c.token.Token)
		switch {
		case !ends && !s.over && len(open) < s.options.Width:
			open = append(open, s.extend(c, next[c.from]))
		case (ends || s.over) && i < s.options.Width && !(full && s.options.Stopping == First): // the others are there to go on alone
			o := s.extend(c, next[c.from])
			o.Score, o.Ended = o.Sum/s.norm(length), ends
			ended = append(ended, o)
		}
	}
	s.open = open
	s.ended = append(s.ended, ended...)
	slices.SortStableFunc(s.ended, func(a, b Output) int { return cmp.Compare(b.Score, a.Score) })
	s.ended = s.ended[:min(len(s.ended), s.options.Width)]
	s.hopeless = len(open) > 0 && !s.hope(length)
}

func (s *Search) extend(c candidate, from []engine.TokenLogprob) Output {
	o := &s.open[c.from]
	n := len(o.Tokens)
	return Output{
		Tokens: append(o.Tokens[:n:n], c.token.Token), // outputs share beginnings, which are never written
		Steps:  append(o.Steps[:n:n], engine.Sampled{Token: c.token.Token, Logprob: c.token.Logprob, Top: from}),
		Sum:    c.sum,
	}
}

// norm is what the sum of an output of so many tokens is divided by.
func (s *Search) norm(length int) float64 {
	return math.Pow(float64(length), s.options.LengthPenalty)
}

// hope tells whether the open outputs, which have so many tokens, may become better than the worst of the ended ones.
func (s *Search) hope(length int) bool {
	if len(s.ended) < s.options.Width {
		return true
	}
	if s.options.Stopping == Never && s.options.LengthPenalty > 0 {
		length = s.options.MaxTokens
	}
	return s.open[0].Sum/s.norm(length) > s.ended[len(s.ended)-1].Score
}
