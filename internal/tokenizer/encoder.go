package tokenizer

import (
	"llmc/internal/tokenizer/pattern"
)

// scratch is the memory of one encoding at a time: it is kept for the next ones.
type scratch struct {
	text   []byte    // the text as given, valid UTF-8
	normal [2][]byte // output of normalizers, in turns
	steps  []stepScratch
	words  wordCache // BPE only

	symbols []int32
	merges  []uint64
	links   []link
	queue   mergeQueue
	paths   []bestPath
	spelled []byte
}

// stepScratch is the memory of one step of the pre-tokenizers.
type stepScratch struct {
	text  []byte
	spans []pattern.Span
}

// keepScratch bounds the bytes of a text whose scratch memory is kept: a long one must not hold memory forever.
const keepScratch = 1 << 20

func newScratch(t *Tokenizer) *scratch {
	s := &scratch{}
	if t == nil {
		return s
	}
	s.steps = make([]stepScratch, len(t.steps))
	if _, ok := t.model.(*bpe); ok {
		s.words = newWordCache()
	}
	return s
}

// An encoder carries one text through the pipeline.
type encoder struct {
	*scratch
	t   *Tokenizer
	ids []int32
}

// encode appends the ids of a text, without special tokens.
func (e *encoder) encode(text string) error {
	e.text, _ = appendValid(e.text[:0], []byte(text), true)
	if len(e.text) == 0 {
		return nil
	}
	whole := piece{e.text, characterSize(e.text)}
	return e.t.added.cut(&e.t.added.raw, whole, e.normalized, e.token)
}

func (e *encoder) token(id int32) { e.ids = append(e.ids, id) }

// normalized takes a piece between added tokens through the rest of the pipeline.
func (e *encoder) normalized(p piece) error {
	p, err := normalize(e.t.normalizers, p, e.scratch)
	if err != nil {
		return err
	}
	return e.t.added.cut(&e.t.added.normalized, p, e.split, e.token)
}

func (e *encoder) split(p piece) error { return e.next(0, p) }

// next hands a piece to the step at a depth, or to the model behind the last one.
func (e *encoder) next(depth int, p piece) (err error) {
	switch {
	case len(p.text) == 0:
	case depth < len(e.t.steps):
		err = e.t.steps[depth].split(e, depth, p)
	default:
		e.ids, err = e.t.model.appendWord(e.ids, p.text, e.scratch)
	}
	return err
}
