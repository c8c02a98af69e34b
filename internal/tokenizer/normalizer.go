package tokenizer

import (
	"errors"
	"unicode/utf8"

	"llmc/internal/tokenizer/pattern"
	"llmc/internal/tokenizer/ucd"
)

// A normalizer rewrites a piece of text.
type normalizer interface {
	// apply appends the new text to dst and returns it as a piece, or returns in and false if nothing changes. Text of
	// more than most bytes is an error.
	apply(dst []byte, in piece, most int) (piece, bool, error)
}

// normalizers lists the kinds of the file; Sequence is taken apart before.
var normalizers = []maker[normalizer]{
	fixed[normalizer]("NFC", form{ucd.NFC}),
	fixed[normalizer]("NFD", form{ucd.NFD}),
	fixed[normalizer]("NFKC", form{ucd.NFKC}),
	fixed[normalizer]("NFKD", form{ucd.NFKD}),
	fixed[normalizer]("Lowercase", runeMap(ucd.AppendLower)),
	fixed[normalizer]("StripAccents", runeMap(withoutCombining)),
	fixed[normalizer]("Nmt", runeMap(nmt)),
	fixed[normalizer]("ByteLevel", runeMap(appendByteLevelRune)),
	with("Strip", func(p struct {
		Left  *bool `json:"strip_left"`
		Right *bool `json:"strip_right"`
	}) ([]normalizer, error) {
		if p.Left == nil || p.Right == nil {
			return nil, errors.New("strip_left or strip_right is missing")
		}
		return []normalizer{strip{*p.Left, *p.Right}}, nil
	}),
	with("Prepend", func(p struct{ Prepend string }) ([]normalizer, error) {
		return []normalizer{prepend(p.Prepend)}, nil
	}),
	with("Replace", func(p replaceParams) ([]normalizer, error) {
		m, err := p.Pattern.compile()
		return []normalizer{replace{m, p.Content}}, err
	}),
	with("Precompiled", func(p struct {
		Charsmap []byte `json:"precompiled_charsmap"`
	}) ([]normalizer, error) {
		m, err := newCharsmap(p.Charsmap)
		return []normalizer{m}, err
	}),
	with("BertNormalizer", newBertNormalizer),
}

// replaceParams are those of the normalizer and of the decoder.
type replaceParams struct {
	Pattern patternSpec
	Content string
}

// patternSpec is {"String": s} or {"Regex": s}.
type patternSpec struct{ String, Regex *string }

func (p patternSpec) compile() (pattern.Matcher, error) {
	switch {
	case p.String != nil && p.Regex == nil:
		return pattern.Literal(*p.String), nil
	case p.Regex != nil && p.String == nil:
		return pattern.Compile(*p.Regex)
	}
	return nil, errors.New(`pattern is neither {"String": ...} nor {"Regex": ...}`)
}

// runeMap rewrites each character on its own: it appends what r becomes.
type runeMap func(dst []byte, r rune) []byte

func (f runeMap) apply(dst []byte, in piece, _ int) (piece, bool, error) {
	start, head := len(dst), 0
	for i := 0; i < len(in.text); {
		r, size := rune(in.text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(in.text[i:])
		}
		dst = f(dst, r)
		if i < in.head {
			head = len(dst) - start
		}
		i += size
	}
	return piece{dst[start:], head}, true, nil
}

func withoutCombining(dst []byte, r rune) []byte {
	if ucd.IsCombining(r) {
		return dst
	}
	return utf8.AppendRune(dst, r)
}

// nmt drops controls and makes blanks of some characters, as sentencepiece's nmt rules do.
func nmt(dst []byte, r rune) []byte {
	switch {
	case r >= 1 && r <= 8, r == 0xb, r >= 0xe && r <= 0x1f, r == 0x7f, r == 0x8f, r == 0x9f:
		return dst
	case r == '\t', r == '\n', r == '\f', r == '\r', r == 0x1680, r >= 0x200b && r <= 0x200f, r == 0x2028, r == 0x2029,
		r == 0x2581, r == 0xfeff, r == 0xfffd:
		return append(dst, ' ')
	}
	return utf8.AppendRune(dst, r)
}

// form is a normalization form.
type form struct{ ucd.Form }

func (f form) apply(dst []byte, in piece, _ int) (piece, bool, error) {
	start := len(dst)
	dst, changed := f.Append(dst, in.text)
	if !changed {
		return in, false, nil
	}
	out := piece{text: dst[start:]}
	if in.head > 0 {
		// The first character counts by what it alone becomes, or by what it composes to with those after it.
		alone, ok := f.Append(nil, in.text[:in.head])
		if !ok {
			alone = in.text[:in.head]
		}
		if out.head = len(alone); len(out.text) < out.head || string(out.text[:out.head]) != string(alone) {
			_, out.head = utf8.DecodeRune(out.text)
		}
	}
	return out, true, nil
}

// strip removes white space at the ends.
type strip struct{ left, right bool }

func (s strip) apply(_ []byte, in piece, _ int) (piece, bool, error) {
	start, end := 0, len(in.text)
	for s.left && start < end {
		r, size := utf8.DecodeRune(in.text[start:end])
		if !ucd.IsSpace(r) {
			break
		}
		start += size
	}
	for s.right && end > start {
		r, size := utf8.DecodeLastRune(in.text[start:end])
		if !ucd.IsSpace(r) {
			break
		}
		end -= size
	}
	return in.slice(start, end), false, nil
}

// prepend puts text before a piece that is not empty.
type prepend string

func (s prepend) apply(dst []byte, in piece, _ int) (piece, bool, error) {
	if len(in.text) == 0 || s == "" {
		return in, false, nil
	}
	start := len(dst)
	dst = append(append(dst, s...), in.text...)
	head := in.head
	if head > 0 {
		head += len(s)
	}
	return piece{dst[start:], head}, true, nil
}

// replace puts content in place of every match. The content counts as made from the last character of the match.
type replace struct {
	matcher pattern.Matcher
	content string
}

func (x replace) apply(dst []byte, in piece, most int) (piece, bool, error) {
	matches, err := x.matcher.AppendMatches(nil, in.text)
	if err != nil || len(matches) == 0 {
		return in, false, err
	}
	if len(matches)*len(x.content) > most {
		return in, false, errTooLong
	}
	start, head, copied := len(dst), 0, 0
	keep := func(end int) { // copies in.text[copied:end]
		if copied < in.head {
			head = len(dst) - start + min(end, in.head) - copied
		}
		dst = append(dst, in.text[copied:end]...)
	}
	for _, m := range matches {
		keep(int(m.Start))
		dst = append(dst, x.content...)
		if int(m.End) <= in.head {
			head = len(dst) - start
		}
		copied = int(m.End)
	}
	keep(len(in.text))
	return piece{dst[start:], head}, true, nil
}

// newBertNormalizer takes BERT's normalizer apart.
func newBertNormalizer(p struct {
	CleanText          bool  `json:"clean_text"`
	HandleChineseChars bool  `json:"handle_chinese_chars"`
	StripAccents       *bool `json:"strip_accents"`
	Lowercase          bool  `json:"lowercase"`
}) ([]normalizer, error) {
	var steps []normalizer
	if p.CleanText {
		steps = append(steps, runeMap(bertClean))
	}
	if p.HandleChineseChars {
		steps = append(steps, runeMap(bertSpaceIdeographs))
	}
	if p.StripAccents == nil && p.Lowercase || p.StripAccents != nil && *p.StripAccents {
		steps = append(steps, form{ucd.NFD}, runeMap(bertWithoutMarks))
	}
	if p.Lowercase {
		steps = append(steps, runeMap(ucd.AppendLower))
	}
	return steps, nil
}

// bertClean drops controls and makes every white space a blank.
func bertClean(dst []byte, r rune) []byte {
	switch {
	case r == '\t' || r == '\n' || r == '\r':
		return append(dst, ' ')
	case r == 0 || r == utf8.RuneError || ucd.IsOther(r):
		return dst
	case ucd.IsSpace(r):
		return append(dst, ' ')
	}
	return utf8.AppendRune(dst, r)
}

func bertWithoutMarks(dst []byte, r rune) []byte {
	if ucd.IsNonspacingMark(r) {
		return dst
	}
	return utf8.AppendRune(dst, r)
}

// ideographs are the blocks that BERT puts blanks around; the gap between the extensions D and E is BERT's own.
var ideographs = [][2]rune{
	{0x4e00, 0x9fff}, {0x3400, 0x4dbf}, {0x20000, 0x2a6df}, {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf},
	{0xf900, 0xfaff}, {0x2f800, 0x2fa1f},
}

func bertSpaceIdeographs(dst []byte, r rune) []byte {
	for _, block := range ideographs {
		if block[0] <= r && r <= block[1] {
			return append(utf8.AppendRune(append(dst, ' '), r), ' ')
		}
	}
	return utf8.AppendRune(dst, r)
}

// normalize runs the steps one after the other. The result may lie in the memory of scratch or be in itself.
func normalize(steps []normalizer, in piece, s *scratch) (piece, error) {
	buffer := 0
	most := maxGrowth*len(in.text) + maxToken
	for _, step := range steps {
		out, changed, err := step.apply(s.normal[buffer][:0], in, most)
		if err == nil && len(out.text) > most {
			err = errTooLong
		}
		if err != nil {
			return in, err
		}
		if changed { // the next step must not write where its input lies
			s.normal[buffer] = out.text
			buffer = 1 - buffer
		}
		in = out
	}
	return in, nil
}
