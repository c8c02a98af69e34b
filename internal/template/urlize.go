package template

import (
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"
)

// The patterns by which Jinja recognizes links; \w and \S are spelled out because Go's know only ASCII.
var (
	httpPattern = regexp.MustCompile(`(?i)^((https?://|www\.)(([\p{L}\p{N}_%-]+\.)+)?([a-z]{2,63}|xn--[\p{L}\p{N}_%]{2,59})` +
		`|([\p{L}\p{N}_%-]{2,63}\.)+(com|net|int|edu|gov|org|info|mil)` +
		`|(https?://)(([0-9]{1,3})(\.[0-9]{1,3}){3}|(\[([0-9a-f]{0,4}:){2}([0-9a-f]{0,4}:?){1,6}])))` +
		`(?::[0-9]{1,5})?(?:[/?#]\S*)?$`)
	emailPattern     = regexp.MustCompile(`^\S+@[\p{L}\p{N}_][\p{L}\p{N}_.-]*\.[\p{L}\p{N}_]+$`)
	uriSchemePattern = regexp.MustCompile(`^([\p{L}\p{N}_.+-]{2,}:(/){0,2})$`)
	linkHeadPattern  = regexp.MustCompile(`^([(<]|&lt;)+`)
	linkTailPattern  = regexp.MustCompile(`([)>.,\n]|&gt;)+$`)
)

// linker makes links of words.
type linker struct {
	limit   int // characters of the text of a link; -1: all
	attrs   string
	schemes []string
}

// urlizeFilter turns URLs and mail addresses into links. The text around them is escaped.
func urlizeFilter(st *state, self Value, a args) (Value, error) {
	l := linker{limit: -1}
	var err error
	if a.given(0) {
		if l.limit, err = a.int(0, -1); err != nil {
			return nil, err
		}
	}
	if err := l.attributes(st, a); err != nil {
		return nil, err
	}
	if a.given(4) {
		if err := l.extraSchemes(st, a.values[4]); err != nil {
			return nil, err
		}
	}
	escaped, err := st.escapeValue(self)
	if err != nil {
		return nil, err
	}
	var parts []string
	for rest := string(escaped); rest != ""; {
		space := spaces(rest)
		end := strings.IndexFunc(rest[space:], isSpace)
		if end < 0 {
			end = len(rest) - space
		}
		if err := st.scan(bytesAStep * end); err != nil { // patterns cost much more a byte than other work
			return nil, err
		}
		if err := st.items(4); err != nil {
			return nil, err
		}
		parts = append(parts, rest[:space], l.word(rest[space:space+end]))
		rest = rest[space+end:]
	}
	s, err := st.join(parts, "")
	return st.textValue(s), err
}

// attributes composes rel and target.
func (l *linker) attributes(st *state, a args) error {
	rel, err := a.text(3, "")
	if err != nil && a.given(3) {
		return err
	}
	set := map[string]bool{"noopener": true}
	for _, word := range strings.FieldsFunc(rel, isSpace) {
		set[word] = true
	}
	if a.flag(1) {
		set["nofollow"] = true
	}
	var words []string
	for word := range set {
		words = append(words, word)
	}
	sort.Strings(words)
	escaped, err := st.escape(strings.Join(words, " "))
	if err != nil {
		return err
	}
	l.attrs = ` rel="` + escaped + `"`
	if a.given(2) && truth(a.values[2]) {
		target, err := st.escapeValue(a.values[2])
		if err != nil {
			return err
		}
		l.attrs += ` target="` + string(target) + `"`
	}
	return nil
}

func (l *linker) extraSchemes(st *state, v Value) error {
	return st.forEach(v, func(item Value) error {
		scheme, ok := asText(item)
		if !ok {
			return typeError("expected string or bytes-like object, got '%s'", item.typeName())
		}
		if !uriSchemePattern.MatchString(scheme) {
			return fail(FilterArgument, "%s is not a valid URI scheme prefix.", quote(scheme))
		}
		l.schemes = append(l.schemes, scheme)
		return nil
	})
}

// maxLinkLength is where words stop being looked at: nothing longer is a link that anybody wrote.
const maxLinkLength = 10_000

// word makes a link of a word, leaving brackets and punctuation around it outside.
func (l *linker) word(word string) string {
	if len(word) > maxLinkLength {
		return word
	}
	head := linkHeadPattern.FindString(word)
	middle, tail := word[len(head):], ""
	for _, end := range []string{")", ">", ".", ",", "\n", "&gt;"} {
		if strings.HasSuffix(middle, end) {
			tail = linkTailPattern.FindString(middle)
			middle = middle[:len(middle)-len(tail)]
			break
		}
	}
	for _, pair := range [][2]string{{"(", ")"}, {"<", ">"}, {"&lt;", "&gt;"}} { // brackets that belong to the link
		opened := strings.Count(middle, pair[0])
		if opened <= strings.Count(middle, pair[1]) {
			continue
		}
		for range min(opened, strings.Count(tail, pair[1])) {
			end := strings.Index(tail, pair[1]) + len(pair[1])
			middle, tail = middle+tail[:end], tail[end:]
		}
	}
	return head + l.link(middle) + tail
}

func (l *linker) link(s string) string {
	anchor := func(href, attrs, text string) string { return `<a href="` + href + `"` + attrs + `>` + text + `</a>` }
	switch {
	case httpPattern.MatchString(s):
		href := s
		if !strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://") {
			href = "https://" + s
		}
		return anchor(href, l.attrs, l.shorten(s))
	case strings.HasPrefix(s, "mailto:") && emailPattern.MatchString(s[len("mailto:"):]):
		return anchor(s, "", s[len("mailto:"):])
	case strings.Contains(s, "@") && !strings.HasPrefix(s, "www.") && !strings.HasPrefix(s, "@") &&
		!strings.Contains(s, ":") && emailPattern.MatchString(s):
		return anchor("mailto:"+s, "", s)
	}
	for _, scheme := range l.schemes {
		if s != scheme && strings.HasPrefix(s, scheme) {
			s = anchor(s, l.attrs, s)
		}
	}
	return s
}

func (l *linker) shorten(s string) string {
	if l.limit < 0 || utf8.RuneCountInString(s) <= l.limit {
		return s
	}
	return s[:runeOffset(s, l.limit)] + "..."
}
