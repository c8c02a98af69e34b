package tokenizer

import (
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"
)

// A Tokenizer turns text into ids and back. It is immutable and safe for concurrent use.
type Tokenizer struct {
	definition  *definition
	vocab       *vocabulary
	added       *addedVocabulary
	normalizers []normalizer
	steps       []splitStep // of the pre-tokenizers
	model       model
	post        []postProcessor
	decoders    []decoder
	size        int // of the vocabulary, added tokens included

	pool sync.Pool // of *scratch
}

// definition is all that a tokenizer is made from: what Load reads and Marshal writes.
type definition struct {
	spec   spec
	vocab  *vocabulary
	merges []merge   // BPE, by rank
	scores []float64 // Unigram, by id
}

// assemble builds a tokenizer and checks its definition.
func assemble(d *definition) (*Tokenizer, error) {
	t := &Tokenizer{definition: d, vocab: d.vocab}
	var err error
	if t.normalizers, err = build(d.spec.Normalizer, "normalizer", "normalizers", normalizers); err != nil {
		return nil, err
	}
	if t.steps, err = build(d.spec.PreTokenizer, "pre_tokenizer", "pretokenizers", preTokenizers); err != nil {
		return nil, err
	}
	if t.post, err = build(d.spec.PostProcessor, "post_processor", "processors", postProcessors); err != nil {
		return nil, err
	}
	if t.decoders, err = build(d.spec.Decoder, "decoder", "decoders", decoders); err != nil {
		return nil, err
	}
	if !present(d.spec.Decoder) {
		t.decoders = []decoder{joined{}}
	}
	markFused(t.decoders)
	if t.model, err = newModel(d); err != nil {
		return nil, err
	}
	if t.added, err = newAddedVocabulary(d.spec.AddedTokens, d.vocab, t.normalizers); err != nil {
		return nil, err
	}
	t.size = d.vocab.len()
	for token := range t.added.ids {
		if _, ok := t.vocab.id(token); !ok {
			t.size++
		}
	}
	return t, nil
}

// Encode gives the ids of a text. special says whether the post-processor adds its special tokens; special tokens
// written in the text are recognized either way. Bytes that are no UTF-8 count as U+FFFD.
func (t *Tokenizer) Encode(text string, special bool) ([]int32, error) {
	return t.AppendEncode(nil, text, special)
}

// AppendEncode is Encode that appends the ids to dst.
func (t *Tokenizer) AppendEncode(dst []int32, text string, special bool) ([]int32, error) {
	if len(t.post) == 0 {
		return t.appendText(dst, text)
	}
	ids, err := t.appendText(nil, text)
	if err != nil {
		return dst, err
	}
	segments, err := t.process([]segment{newSegment(ids, 0)}, special)
	for _, s := range segments {
		dst = append(dst, s.ids...)
	}
	return dst, err
}

// EncodePair gives the ids of two texts joined as the post-processor joins pairs, and the type id of each.
func (t *Tokenizer) EncodePair(a, b string, special bool) (ids, typeIDs []int32, err error) {
	var segments []segment
	for i, text := range []string{a, b} {
		ids, err := t.appendText(nil, text)
		if err != nil {
			return nil, nil, err
		}
		segments = append(segments, newSegment(ids, int32(i)))
	}
	if segments, err = t.process(segments, special); err != nil {
		return nil, nil, err
	}
	for _, s := range segments {
		ids, typeIDs = append(ids, s.ids...), append(typeIDs, s.types...)
	}
	return ids, typeIDs, nil
}

func (t *Tokenizer) process(segments []segment, special bool) (_ []segment, err error) {
	for _, p := range t.post {
		if segments, err = p.process(segments, special); err != nil {
			return nil, fmt.Errorf("post_processor: %w", err)
		}
	}
	return segments, nil
}

// appendText appends the ids of a text without those of the post-processor.
func (t *Tokenizer) appendText(dst []int32, text string) ([]int32, error) {
	if len(text) > maxText {
		return dst, fmt.Errorf("text of %d bytes, at most %d can be encoded", len(text), maxText)
	}
	s, _ := t.pool.Get().(*scratch)
	if s == nil {
		s = newScratch(t)
	}
	if dst == nil {
		dst = make([]int32, 0, len(text)/4+1)
	}
	e := encoder{scratch: s, t: t, ids: dst}
	err := e.encode(text)
	if len(text) <= keepScratch {
		t.pool.Put(s)
	}
	if err != nil {
		return dst, fmt.Errorf("encode: %w", err)
	}
	return e.ids, nil
}

// Decode gives the text of ids; skipSpecial leaves special tokens out. An id without a token is an error.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) (string, error) {
	s := t.NewStream(skipSpecial)
	for _, id := range ids {
		if !s.push(id) {
			return "", fmt.Errorf("decode: id %d has no token (the vocabulary has %d)", id, t.VocabSize())
		}
	}
	s.stage.close()
	if s.failure.err != nil {
		return "", fmt.Errorf("decode: %w", s.failure.err)
	}
	return string(s.out.text), nil
}

// VocabSize counts the tokens, added ones included. Ids may have gaps: the largest can be greater.
func (t *Tokenizer) VocabSize() int { return t.size }

// TokenID gives the id of a token as the vocabulary spells it.
func (t *Tokenizer) TokenID(token string) (int32, bool) {
	if id, ok := t.added.ids[token]; ok {
		return id, true
	}
	return t.vocab.id(token)
}

// Token gives the token of an id as the vocabulary spells it.
func (t *Tokenizer) Token(id int32) (string, bool) {
	if spec, ok := t.added.byID[id]; ok {
		return spec.Content, true
	}
	return t.vocab.token(id)
}

// IsSpecial reports whether an id is a special token, which decoding may leave out.
func (t *Tokenizer) IsSpecial(id int32) bool {
	token, ok := t.Token(id)
	return ok && t.added.special[token]
}

// TokenBytes gives the bytes that a token stands for in the middle of a text; they need not be whole characters. An
// id without a token has none.
func (t *Tokenizer) TokenBytes(id int32) []byte {
	token, ok := t.Token(id)
	if !ok {
		return nil
	}
	text := []byte(token)
	for _, d := range t.decoders {
		text = d.middle(text)
	}
	return slices.Clone(text)
}

// FirstBytes gives the bytes that a token stands for at the beginning of a text, where decoders may take a space away.
func (t *Tokenizer) FirstBytes(id int32) []byte {
	token, ok := t.Token(id)
	if !ok {
		return nil
	}
	text := []byte(token)
	for _, d := range t.decoders {
		if o, ok := d.(opener); ok {
			text = o.first(text)
		} else {
			text = d.middle(text)
		}
	}
	return slices.Clone(text)
}

// Joins tells whether the text of tokens is the first one's FirstBytes and the TokenBytes of the others. Some decoders make another end of a text, or drop repeated tokens.
func (t *Tokenizer) Joins() bool {
	return !slices.ContainsFunc(t.decoders, func(d decoder) bool {
		switch d := d.(type) {
		case suffixDecoder, ctcDecoder:
			return true
		case stripDecoder:
			return d.fused && d.stop > 0
		}
		return false
	})
}

func characterSize(text []byte) int {
	_, size := utf8.DecodeRune(text)
	return size
}
