package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"llmc/internal/tokenizer/pattern"
	"llmc/internal/tokenizer/ucd"
)

// A splitStep cuts a piece into smaller ones, or rewrites it, and hands each non-empty result to e.next(depth+1, ...) in
// order. The piece may lie in memory of e that belongs to a step before; the step's own memory is e.steps[depth].
type splitStep interface {
	split(e *encoder, depth int, p piece) error
}

// preTokenizers lists the kinds of the file; Sequence is taken apart before.
var preTokenizers = []maker[splitStep]{
	with("ByteLevel", func(p struct {
		AddPrefixSpace bool  `json:"add_prefix_space"`
		UseRegex       *bool `json:"use_regex"`
	}) ([]splitStep, error) {
		var steps []splitStep
		if p.AddPrefixSpace {
			steps = append(steps, prefixSpace{})
		}
		if p.UseRegex == nil || *p.UseRegex {
			m, err := pattern.Compile(pattern.GPT2)
			if err != nil {
				return nil, err
			}
			steps = append(steps, splitAt{matcher: m, behavior: isolated})
		}
		return append(steps, byteLevel{}), nil
	}),
	with("Split", func(p struct {
		Pattern  patternSpec
		Behavior *behavior
		Invert   bool
	}) ([]splitStep, error) {
		if p.Behavior == nil {
			return nil, errors.New("behavior is missing")
		}
		m, err := p.Pattern.compile()
		return []splitStep{splitAt{m, *p.Behavior, p.Invert}}, err
	}),
	with("Metaspace", newMetaspace),
	fixed[splitStep]("Whitespace", splitAt{wordRuns{}, removed, true}),
	fixed[splitStep]("WhitespaceSplit", splitAt{matcher: pattern.Where(ucd.IsSpace), behavior: removed}),
	fixed[splitStep]("BertPreTokenizer",
		splitAt{matcher: pattern.Where(ucd.IsSpace), behavior: removed},
		splitAt{matcher: pattern.Where(ucd.IsBertPunct), behavior: isolated}),
	with("Punctuation", func(p struct{ Behavior *behavior }) ([]splitStep, error) {
		kind := isolated
		if p.Behavior != nil {
			kind = *p.Behavior
		}
		return []splitStep{splitAt{matcher: pattern.Where(ucd.IsBertPunct), behavior: kind}}, nil
	}),
	with("Digits", func(p struct {
		Individual bool `json:"individual_digits"`
	}) ([]splitStep, error) {
		kind := contiguous
		if p.Individual {
			kind = isolated
		}
		return []splitStep{splitAt{matcher: pattern.Where(ucd.IsNumeric), behavior: kind}}, nil
	}),
	with("CharDelimiterSplit", func(p struct{ Delimiter *character }) ([]splitStep, error) {
		if p.Delimiter == nil {
			return nil, errors.New("delimiter is missing")
		}
		return []splitStep{splitAt{matcher: pattern.Literal(string(rune(*p.Delimiter))), behavior: removed}}, nil
	}),
	with("FixedLength", func(p struct{ Length *int }) ([]splitStep, error) {
		length := 5
		if p.Length != nil {
			length = *p.Length
		}
		if length <= 0 {
			return nil, fmt.Errorf("length %d is not positive", length)
		}
		return []splitStep{fixedLength(length)}, nil
	}),
	fixed[splitStep]("UnicodeScripts", scriptRuns{}),
}

// behavior says what becomes of the matches of a split.
type behavior uint8

const (
	removed            behavior = iota // dropped
	isolated                           // pieces of their own
	mergedWithPrevious                 // at the end of the piece before
	mergedWithNext                     // at the start of the piece after
	contiguous                         // like isolated, adjacent matches joined
)

var behaviorNames = []string{"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"}

func (b *behavior) UnmarshalText(text []byte) error {
	i := slices.Index(behaviorNames, string(text))
	if i < 0 {
		return fmt.Errorf("unknown behavior %.40q", text)
	}
	*b = behavior(i)
	return nil
}

// splitAt cuts at the matches of a pattern, or, inverted, at what lies between them.
type splitAt struct {
	matcher  pattern.Matcher
	behavior behavior
	invert   bool
}

func (x splitAt) split(e *encoder, depth int, p piece) error {
	scratch := &e.steps[depth]
	spans, err := x.matcher.AppendMatches(scratch.spans[:0], p.text)
	if err != nil {
		return err
	}
	scratch.spans = spans
	j := joiner{e: e, depth: depth, p: p, behavior: x.behavior}
	at := 0
	for _, s := range spans {
		if int(s.Start) > at {
			j.add(at, int(s.Start), x.invert)
		}
		j.add(int(s.Start), int(s.End), !x.invert)
		at = int(s.End)
	}
	if at < len(p.text) {
		j.add(at, len(p.text), x.invert)
	}
	return j.finish()
}

// A joiner receives the stretches of a piece, matches and what lies between, and passes pieces on as the behavior says.
// The last one is held back: the next may join it.
type joiner struct {
	e          *encoder
	depth      int
	p          piece
	behavior   behavior
	start, end int
	holding    bool
	previous   bool // whether the last stretch was a match
	err        error
}

func (j *joiner) add(start, end int, match bool) {
	if j.behavior == removed && match {
		return
	}
	joins := false
	switch j.behavior {
	case mergedWithPrevious:
		joins = match && !j.previous
	case mergedWithNext:
		joins = !match && j.previous
	case contiguous:
		joins = match == j.previous
	}
	j.previous = match
	if joins && j.holding {
		j.end = end
		return
	}
	j.flush()
	j.start, j.end, j.holding = start, end, true
}

func (j *joiner) flush() {
	if j.holding && j.end > j.start && j.err == nil {
		j.err = j.e.next(j.depth+1, j.p.slice(j.start, j.end))
	}
	j.holding = false
}

func (j *joiner) finish() error {
	j.flush()
	return j.err
}

// prefixSpace puts a blank before a piece that does not start with one.
type prefixSpace struct{}

func (prefixSpace) split(e *encoder, depth int, p piece) error {
	if p.text[0] == ' ' {
		return e.next(depth+1, p)
	}
	return e.next(depth+1, e.prefixed(depth, " ", p))
}

// prefixed gives prefix + p in the memory of a step.
func (e *encoder) prefixed(depth int, prefix string, p piece) piece {
	buf := append(append(e.steps[depth].text[:0], prefix...), p.text...)
	e.steps[depth].text = buf
	head := p.head
	if head > 0 {
		head += len(prefix)
	}
	return piece{buf, head}
}

// byteLevel rewrites a piece in the byte-level alphabet.
type byteLevel struct{}

func (byteLevel) split(e *encoder, depth int, p piece) error {
	buf := appendByteLevel(e.steps[depth].text[:0], p.text)
	e.steps[depth].text = buf
	out := piece{text: buf}
	if p.head > 0 {
		for _, b := range p.text[:p.head] {
			out.head += len(alphabet.spelled[b])
		}
	}
	return e.next(depth+1, out)
}

// fixedLength cuts after every so many characters.
type fixedLength int

func (n fixedLength) split(e *encoder, depth int, p piece) error {
	start, count := 0, 0
	for i := range string(p.text) {
		if count == int(n) {
			if err := e.next(depth+1, p.slice(start, i)); err != nil {
				return err
			}
			start, count = i, 0
		}
		count++
	}
	return e.next(depth+1, p.slice(start, len(p.text)))
}

// wordRuns matches \w+|[^\w\s]+ with the classes of the Rust regex crate.
type wordRuns struct{}

func (wordRuns) AppendMatches(dst []pattern.Span, text []byte) ([]pattern.Span, error) {
	const space, word, other = 0, 1, 2
	kind := func(i int) (int, int) {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case ucd.IsWord(r):
			return word, size
		case ucd.IsSpace(r):
			return space, size
		}
		return other, size
	}
	for i := 0; i < len(text); {
		first, size := kind(i)
		end := i + size
		for end < len(text) {
			k, n := kind(end)
			if k != first {
				break
			}
			end += n
		}
		if first != space {
			dst = append(dst, pattern.Span{Start: int32(i), End: int32(end)})
		}
		i = end
	}
	return dst, nil
}
