package tokenizer

import (
	"bytes"
	"errors"
	"fmt"

	"llmc/internal/tokenizer/pattern"
	"llmc/internal/tokenizer/ucd"
)

// metaspaceParams are those of the pre-tokenizer and of the decoder.
type metaspaceParams struct {
	Replacement    *character
	PrependScheme  *string `json:"prepend_scheme"`
	AddPrefixSpace *bool   `json:"add_prefix_space"` // before prepend_scheme
	Split          *bool
}

const (
	prependAlways = "always"
	prependFirst  = "first"
	prependNever  = "never"
)

// scheme gives the prepend scheme; it was a boolean once.
func (p metaspaceParams) scheme() (string, error) {
	if p.Replacement == nil {
		return "", errors.New("replacement is missing")
	}
	scheme := prependAlways
	if p.PrependScheme != nil {
		scheme = *p.PrependScheme
	}
	if p.AddPrefixSpace != nil && !*p.AddPrefixSpace {
		if p.PrependScheme != nil && scheme != prependNever {
			return "", errors.New("add_prefix_space and prepend_scheme disagree")
		}
		scheme = prependNever
	}
	switch scheme {
	case prependAlways, prependFirst, prependNever:
		return scheme, nil
	}
	return "", fmt.Errorf("unknown prepend_scheme %.40q", scheme)
}

func newMetaspace(p metaspaceParams) ([]splitStep, error) {
	scheme, err := p.scheme()
	if err != nil {
		return nil, err
	}
	mark := string(rune(*p.Replacement))
	steps := []splitStep{metaspace{mark, scheme}}
	if p.Split == nil || *p.Split {
		steps = append(steps, splitAt{matcher: pattern.Literal(mark), behavior: mergedWithNext})
	}
	return steps, nil
}

// metaspace writes blanks as a visible mark and puts one before the piece, as the scheme says.
type metaspace struct {
	mark   string
	scheme string
}

func (m metaspace) split(e *encoder, depth int, p piece) error {
	buf := e.steps[depth].text[:0]
	head := 0
	starts := p.text[0] == ' ' || bytes.HasPrefix(p.text, []byte(m.mark))
	if !starts && (m.scheme == prependAlways || m.scheme == prependFirst && p.head > 0) {
		buf = append(buf, m.mark...)
	}
	for i, b := range p.text {
		if b == ' ' {
			buf = append(buf, m.mark...)
		} else {
			buf = append(buf, b)
		}
		if i < p.head {
			head = len(buf)
		}
	}
	e.steps[depth].text = buf
	return e.next(depth+1, piece{buf, head})
}

// scriptRuns cuts where the script changes, as sentencepiece does: Hiragana and Katakana count as Han, blanks and
// characters without a script belong to either side.
type scriptRuns struct{}

func scriptForSplit(r rune) ucd.Script {
	switch s := ucd.ScriptOf(r); {
	case r == ' ':
		return ucd.NoScript
	case r == 'ー' || s == ucd.ScriptNamed("Hiragana") || s == ucd.ScriptNamed("Katakana"):
		return ucd.ScriptNamed("Han")
	default:
		return s
	}
}

// split drops what comes before the first character with a script, as the reference does.
func (scriptRuns) split(e *encoder, depth int, p piece) error {
	start, last := -1, ucd.NoScript
	for i, r := range string(p.text) {
		script := scriptForSplit(r)
		if script == ucd.NoScript {
			continue
		}
		if start < 0 || script != last {
			if start >= 0 {
				if err := e.next(depth+1, p.slice(start, i)); err != nil {
					return err
				}
			}
			start = i
		}
		last = script
	}
	if start < 0 {
		return nil
	}
	return e.next(depth+1, p.slice(start, len(p.text)))
}
