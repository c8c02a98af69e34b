package tokenizer

import (
	"bytes"
	"errors"
	"fmt"

	"llmc/internal/tokenizer/pattern"
)

// A decoder is one part of the way from tokens to text. Text comes out while tokens go in: a decoder makes a stage
// that passes on what no later token can change.
type decoder interface {
	// stage gives the state of one decoding, in front of next.
	stage(next stage, f *failure) stage
	// middle gives what a token becomes in the middle of a text; it may reuse token.
	middle(token []byte) []byte
}

// An opener is a decoder that makes something else of the first token.
type opener interface {
	first(token []byte) []byte
}

// A stage receives tokens in fragments. Fragments are whole characters and valid only during the call.
type stage interface {
	put(fragment []byte, end bool) // end: the token is complete
	close()                        // no more tokens
}

// failure is the first error of a decoding.
type failure struct{ err error }

// decoders lists the kinds of the file; Sequence is taken apart before.
var decoders = []maker[decoder]{
	fixed[decoder]("ByteLevel", byteLevelDecoder{}),
	fixed[decoder]("ByteFallback", byteFallbackDecoder{}),
	fixed[decoder]("Fuse", fuse{}),
	with("WordPiece", func(p struct {
		Prefix  *string
		Cleanup bool
	}) ([]decoder, error) {
		if p.Prefix == nil {
			return nil, errors.New("prefix is missing")
		}
		return []decoder{perToken{wordPieceToken(*p.Prefix, p.Cleanup)}}, nil
	}),
	with("Metaspace", func(p metaspaceParams) ([]decoder, error) {
		scheme, err := p.scheme()
		if err != nil {
			return nil, err
		}
		return []decoder{perToken{metaspaceToken(rune(*p.Replacement), scheme != prependNever)}}, nil
	}),
	with("Replace", func(p replaceParams) ([]decoder, error) {
		m, err := p.Pattern.compile()
		return []decoder{replaceDecoder{m, p.Content}}, err
	}),
	with("Strip", func(p struct {
		Content     *character
		Start, Stop int
	}) ([]decoder, error) {
		if p.Content == nil || p.Start < 0 || p.Stop < 0 || p.Stop > maxAdded {
			return nil, fmt.Errorf("content is missing, or start or stop is out of range")
		}
		return []decoder{stripDecoder{content: string(rune(*p.Content)), start: p.Start, stop: p.Stop}}, nil
	}),
	with("BPEDecoder", func(p struct{ Suffix *string }) ([]decoder, error) {
		if p.Suffix == nil || *p.Suffix == "" { // an empty one would match between all characters
			return nil, errors.New("suffix is missing")
		}
		return []decoder{suffixDecoder(*p.Suffix)}, nil
	}),
	with("CTC", func(p ctcDecoder) ([]decoder, error) {
		if p.WordDelimiter == "" {
			return nil, errors.New("word_delimiter_token is missing")
		}
		return []decoder{p}, nil
	}),
}

// output is the last stage: it collects the text.
type output struct{ text []byte }

func (o *output) put(fragment []byte, _ bool) { o.text = append(o.text, fragment...) }
func (o *output) close()                      {}

// joined is what stands in for a missing decoder: tokens with a blank between them.
type joined struct{}

func (joined) middle(token []byte) []byte { return append([]byte{' '}, token...) }

func (joined) first(token []byte) []byte { return token }

func (joined) stage(next stage, _ *failure) stage {
	return &tokenStage{next: next, decode: func(dst, token []byte, index int) []byte {
		if index > 0 {
			dst = append(dst, ' ')
		}
		return append(dst, token...)
	}}
}

// tokenStage decodes whole tokens one by one.
type tokenStage struct {
	next   stage
	decode func(dst, token []byte, index int) []byte
	index  int
	partly []byte // of the token not yet complete
	buf    []byte
}

func (s *tokenStage) put(fragment []byte, end bool) {
	if !end {
		s.partly = append(s.partly, fragment...)
		return
	}
	if len(s.partly) > 0 {
		s.partly = append(s.partly, fragment...)
		fragment = s.partly
	}
	s.buf = s.decode(s.buf[:0], fragment, s.index)
	s.index++
	s.partly = s.partly[:0]
	s.next.put(s.buf, true)
}

func (s *tokenStage) close() { s.next.close() }

// perToken decodes each token by itself, knowing only its index.
type perToken struct {
	decode func(dst, token []byte, index int) []byte
}

func (d perToken) stage(next stage, _ *failure) stage {
	return &tokenStage{next: next, decode: d.decode}
}
func (d perToken) middle(token []byte) []byte { return d.decode(nil, token, 1) }
func (d perToken) first(token []byte) []byte  { return d.decode(nil, token, 0) }

// wordPieceToken puts a blank before every word but the first; tokens with the prefix continue a word.
func wordPieceToken(prefix string, clean bool) func(dst, token []byte, index int) []byte {
	return func(dst, token []byte, index int) []byte {
		if index > 0 {
			if rest, ok := bytes.CutPrefix(token, []byte(prefix)); ok {
				token = rest
			} else {
				dst = append(dst, ' ')
			}
		}
		dst = append(dst, token...)
		if clean {
			dst = cleanUp(dst)
		}
		return dst
	}
}

// cleanUps undoes blanks that tokenizing puts around punctuation and in English contractions, in this order.
var cleanUps = []struct{ old, new []byte }{
	{[]byte(" ."), []byte(".")}, {[]byte(" ?"), []byte("?")}, {[]byte(" !"), []byte("!")}, {[]byte(" ,"), []byte(",")},
	{[]byte(" ' "), []byte("'")}, {[]byte(" n't"), []byte("n't")}, {[]byte(" 'm"), []byte("'m")},
	{[]byte(" do not"), []byte(" don't")}, {[]byte(" 's"), []byte("'s")}, {[]byte(" 've"), []byte("'ve")},
	{[]byte(" 're"), []byte("'re")},
}

func cleanUp(text []byte) []byte {
	for _, c := range cleanUps {
		if bytes.Contains(text, c.old) {
			text = bytes.ReplaceAll(text, c.old, c.new)
		}
	}
	return text
}

// metaspaceToken makes blanks of the marks; in the first token they go, where one was prepended.
func metaspaceToken(mark rune, prepended bool) func(dst, token []byte, index int) []byte {
	encoded := []byte(string(mark))
	return func(dst, token []byte, index int) []byte {
		for {
			i := bytes.Index(token, encoded)
			if i < 0 {
				return append(dst, token...)
			}
			dst = append(dst, token[:i]...)
			if index > 0 || !prepended {
				dst = append(dst, ' ')
			}
			token = token[i+len(encoded):]
		}
	}
}

// replaceDecoder replaces the matches of a pattern in each token.
type replaceDecoder struct {
	matcher pattern.Matcher
	content string
}

func (d replaceDecoder) replace(dst, token []byte) ([]byte, error) {
	matches, err := d.matcher.AppendMatches(nil, token)
	if len(token)+len(matches)*len(d.content) > maxDecoded {
		return dst, errors.New("a replacement makes the text too long")
	}
	copied := int32(0)
	for _, m := range matches {
		dst = append(append(dst, token[copied:m.Start]...), d.content...)
		copied = m.End
	}
	return append(dst, token[copied:]...), err
}

func (d replaceDecoder) stage(next stage, f *failure) stage {
	return &tokenStage{next: next, decode: func(dst, token []byte, _ int) []byte {
		if f.err != nil {
			return dst
		}
		dst, f.err = d.replace(dst, token)
		return dst
	}}
}

func (d replaceDecoder) middle(token []byte) []byte {
	out, _ := d.replace(nil, token)
	return out
}

// ctcDecoder drops repeated tokens and the pad token, and makes blanks of word delimiters.
type ctcDecoder struct {
	PadToken      string `json:"pad_token"`
	WordDelimiter string `json:"word_delimiter_token"`
	Cleanup       bool
}

func (d ctcDecoder) middle(token []byte) []byte {
	token = bytes.ReplaceAll(token, []byte(d.PadToken), nil)
	if d.Cleanup {
		token = bytes.ReplaceAll(cleanUp(token), []byte(d.WordDelimiter), []byte(" "))
	}
	return token
}

func (d ctcDecoder) stage(next stage, _ *failure) stage {
	var last []byte
	first := true
	return &wholeTokens{next: next, token: func(token []byte) {
		if !first && bytes.Equal(token, last) {
			return
		}
		first, last = false, append(last[:0], token...)
		if out := d.middle(token); len(out) > 0 {
			next.put(out, true)
		}
	}}
}

// wholeTokens collects fragments and calls token with each complete token, which passes on what it wants.
type wholeTokens struct {
	next   stage
	partly []byte
	token  func(token []byte)
	last   func() // before the end, if not nil
}

func (s *wholeTokens) put(fragment []byte, end bool) {
	if !end {
		s.partly = append(s.partly, fragment...)
		return
	}
	if len(s.partly) > 0 {
		s.partly = append(s.partly, fragment...)
		fragment = s.partly
	}
	s.token(fragment)
	s.partly = s.partly[:0]
}

func (s *wholeTokens) close() {
	if s.last != nil {
		s.last()
	}
	s.next.close()
}

// suffixDecoder makes blanks of the end-of-word suffixes, but none at the end of the text.
type suffixDecoder string

func (d suffixDecoder) middle(token []byte) []byte {
	return bytes.ReplaceAll(token, []byte(d), []byte(" "))
}

func (d suffixDecoder) stage(next stage, _ *failure) stage {
	var held []byte
	holding := false
	return &wholeTokens{
		next: next,
		token: func(token []byte) {
			if holding {
				next.put(d.middle(held), true)
			}
			held, holding = append(held[:0], token...), true
		},
		last: func() {
			if holding {
				next.put(bytes.ReplaceAll(held, []byte(d), nil), true)
			}
		},
	}
}
