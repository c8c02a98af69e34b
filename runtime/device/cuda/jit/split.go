// Package jit prepares for the driver's compiler: it cuts a module of PTX into parts that several threads compile, and says where what comes of them is
// kept. It makes no calls of the driver.
package jit

import (
	"cmp"
	"slices"
	"strings"
)

// Part is a module with some of the entries of another.
type Part struct {
	Text    string
	Entries []string // nil: all
}

const entryDirective = ".visible .entry "

// headers are how lines begin that stand before the first entry and may stand in several modules: they define nothing.
var headers = []string{".version ", ".target ", ".address_size ", ".extern .shared "}

// bodies are how lines of an entry begin; "$" begins labels.
var bodies = []string{" ", "$", ")", ".maxntid ", ".minnctapersm ", "{"}

// Split cuts a module into up to so many parts of about the same length. Which entries are together depends on the text alone. A module that is not
// written as llmc's are, entry by entry and with nothing that entries share but dynamic shared memory, stays whole.
func Split(text string, parts int) []Part {
	header, entries, ok := cut(text)
	if !ok || len(entries) < 2 || parts < 2 {
		return []Part{{Text: text}}
	}
	// The longest first, each to the part that has least.
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(len(b.text), len(a.text)) })
	texts := make([]strings.Builder, min(parts, len(entries)))
	list := make([]Part, len(texts))
	for _, e := range entries {
		least := 0
		for i := range texts {
			if texts[i].Len() < texts[least].Len() {
				least = i
			}
		}
		texts[least].WriteString(e.text)
		list[least].Entries = append(list[least].Entries, e.name)
	}
	for i := range list {
		list[i].Text = header + texts[i].String()
	}
	return list
}

type entry struct{ name, text string }

// cut finds the entries; it is not ok where a line is none of those that are known.
func cut(text string) (header string, entries []entry, ok bool) {
	start, inside, seen := 0, false, map[string]bool{}
	for at, line := range lines(text) {
		switch blank := strings.TrimSpace(line) == "" || strings.HasPrefix(line, "//"); {
		case strings.HasPrefix(line, entryDirective):
			name, _, found := strings.Cut(line[len(entryDirective):], "(")
			if inside || !found || seen[name] {
				return "", nil, false
			}
			if len(entries) == 0 {
				header = text[:at]
			}
			inside, start, seen[name] = true, at, true
			entries = append(entries, entry{name: name})
		case inside && strings.HasPrefix(line, "}"):
			entries[len(entries)-1].text = text[start : at+len(line)]
			inside = false
		case inside && !blank && !begins(line, bodies):
			return "", nil, false
		case !inside && !blank && (len(entries) > 0 || !begins(line, headers)):
			return "", nil, false
		}
	}
	return header, entries, !inside && !strings.Contains(text, "/*")
}

func begins(line string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(line, p) })
}

// lines gives where each line begins, and the line with its end.
func lines(text string) func(yield func(at int, line string) bool) {
	return func(yield func(at int, line string) bool) {
		for at := 0; at < len(text); {
			end := len(text)
			if n := strings.IndexByte(text[at:], '\n'); n >= 0 {
				end = at + n + 1
			}
			if !yield(at, text[at:end]) {
				return
			}
			at = end
		}
	}
}
