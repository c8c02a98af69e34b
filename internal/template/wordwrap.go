package template

import (
	"strings"
	"unicode"
)

// wordwrapFilter wraps every line by itself, as Python's textwrap does with expand_tabs and replace_whitespace off.
func wordwrapFilter(st *state, self Value, a args) (Value, error) {
	s, ok := asText(self)
	if !ok {
		if u, ok := self.(*undefinedValue); ok {
			return nil, u.fail()
		}
		return nil, fail(AttributeError, "'%s' object has no attribute 'splitlines'", self.typeName())
	}
	width, err := a.int(0, 79)
	if err != nil {
		return nil, err
	}
	separator := "\n"
	if a.given(2) {
		if separator, err = a.text(2, ""); err != nil {
			return nil, err
		}
	}
	w := wrapper{width: width, breakWords: a.values[1] == nil || a.flag(1), breakHyphens: a.values[3] == nil || a.flag(3)}
	if err := st.text(16 * len(s)); err != nil { // for the characters and the chunks
		return nil, err
	}
	var lines []string
	for _, line := range splitLines(s, false) {
		if width <= 0 {
			return nil, fail(ValueError, "invalid width %d (must be > 0)", width)
		}
		wrapped, err := st.join(w.wrap([]rune(line)), separator)
		if err != nil {
			return nil, err
		}
		lines = append(lines, wrapped)
	}
	s, err = st.join(lines, separator)
	return strValue(s), err
}

type wrapper struct {
	width                    int
	breakWords, breakHyphens bool
}

func isWrapSpace(r rune) bool { return strings.ContainsRune("\t\n\v\f\r ", r) }

// wrap fills lines with chunks; whitespace at the ends of lines is dropped.
func (w wrapper) wrap(line []rune) []string {
	chunks := w.chunks(line)
	var lines []string
	for len(chunks) > 0 {
		if len(lines) > 0 && isBlank(chunks[0]) {
			chunks = chunks[1:]
		}
		var current [][]rune
		length := 0
		for len(chunks) > 0 && length+len(chunks[0]) <= w.width {
			current = append(current, chunks[0])
			length += len(chunks[0])
			chunks = chunks[1:]
		}
		if len(chunks) > 0 && len(chunks[0]) > w.width {
			head, rest := w.cutWord(chunks[0], w.width-length, len(current) == 0)
			if head != nil {
				current = append(current, head)
			}
			if rest == nil {
				chunks = chunks[1:]
			} else {
				chunks[0] = rest
			}
		}
		if n := len(current); n > 0 && isBlank(current[n-1]) {
			current = current[:n-1]
		}
		if len(current) > 0 {
			var b strings.Builder
			for _, c := range current {
				b.WriteString(string(c))
			}
			lines = append(lines, b.String())
		}
	}
	return lines
}

func isBlank(chunk []rune) bool {
	for _, r := range chunk {
		if !isSpace(r) {
			return false
		}
	}
	return true
}

// cutWord splits a word longer than a line, behind a hyphen if one fits. Words that may not be broken go on a line of their own.
func (w wrapper) cutWord(word []rune, room int, lineEmpty bool) (head, rest []rune) {
	if !w.breakWords {
		if lineEmpty {
			return word, nil
		}
		return nil, word
	}
	end := room
	if w.breakHyphens && len(word) > room {
		for hyphen := room - 1; hyphen > 0; hyphen-- {
			if word[hyphen] == '-' {
				if strings.Trim(string(word[:hyphen]), "-") != "" {
					end = hyphen + 1
				}
				break
			}
		}
	}
	return word[:end], word[end:]
}

// chunks cuts a line into pieces that stay together: runs of whitespace, words, parts of hyphenated words with their
// hyphen, and dashes of two or more hyphens between words.
func (w wrapper) chunks(line []rune) [][]rune {
	var chunks [][]rune
	for start := 0; start < len(line); {
		end := start + 1
		switch {
		case isWrapSpace(line[start]):
			for end < len(line) && isWrapSpace(line[end]) {
				end++
			}
		case !w.breakHyphens:
			for end < len(line) && !isWrapSpace(line[end]) {
				end++
			}
		case dashLength(line, start) > 0:
			end = start + dashLength(line, start)
		default:
			end = wordEnd(line, start)
		}
		chunks = append(chunks, line[start:end])
		start = end
	}
	return chunks
}

// dashLength matches two or more hyphens between word characters.
func dashLength(line []rune, at int) int {
	if at == 0 || !isWordOrPunctuation(line[at-1]) {
		return 0
	}
	n := 0
	for at+n < len(line) && line[at+n] == '-' {
		n++
	}
	if n < 2 || at+n == len(line) || !isWord(line[at+n]) {
		return 0
	}
	return n
}

func isWordOrPunctuation(r rune) bool { return isWord(r) || strings.ContainsRune("!\"'&.,?", r) }

// isWrapLetter is [^\d\W].
func isWrapLetter(r rune) bool { return isWord(r) && !unicode.Is(unicode.Nd, r) }

// wordEnd finds where the word that starts at start may be left: at whitespace, before a dash, or behind a hyphen between letters.
func wordEnd(line []rune, start int) int {
	letter := func(i int) bool { return i >= 0 && i < len(line) && isWrapLetter(line[i]) }
	dashes := -1 // end of a run of hyphens known to be no dash; keeps the scan linear
	for end := start + 1; end < len(line); end++ {
		if isWrapSpace(line[end]) {
			return end
		}
		if line[end] != '-' {
			continue
		}
		before := letter(end-1) && (letter(end-2) || end >= 2 && line[end-2] == '-' && letter(end-3))
		after := letter(end+1) && (letter(end+2) || end+2 < len(line) && line[end+2] == '-' && letter(end+3))
		if before && after {
			return end + 1
		}
		if end >= dashes {
			if dashLength(line, end) > 0 {
				return end
			}
			for dashes = end; dashes < len(line) && line[dashes] == '-'; dashes++ {
			}
		}
	}
	return len(line)
}
