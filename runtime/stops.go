package runtime

// TextStream turns the tokens of one output into text. Pieces are valid UTF-8; what is not complete yet is kept back.
type TextStream interface {
	Next(id int32) string
	// Flush returns what is left at the end of the output.
	Flush() string
}

// noText is the stream of a model without a tokenizer.
type noText struct{}

func (noText) Next(int32) string { return "" }
func (noText) Flush() string     { return "" }

// stopMatcher looks for stop strings in text that comes in pieces, and keeps back what may be the beginning of one. Each pattern is
// matched byte by byte as by Knuth, Morris and Pratt, so the time is linear in the text whatever the patterns.
//
// Patterns and text are valid UTF-8. What is kept back begins where a pattern begins, so text is never cut inside a character.
type stopMatcher struct {
	patterns []stopPattern
	held     []byte // the longest end of the text so far that begins a pattern
}

type stopPattern struct {
	text    string
	failure []int32 // failure[n]: length of the longest proper end of text[:n+1] that begins text
	matched int     // bytes of text that the output so far ends with
}

// newStopMatcher returns nil when there is nothing to look for.
func newStopMatcher(stops []string) *stopMatcher {
	if len(stops) == 0 {
		return nil
	}
	m := &stopMatcher{patterns: make([]stopPattern, len(stops))}
	for i, text := range stops {
		p := &m.patterns[i]
		p.text, p.failure = text, make([]int32, len(text))
		for n, matched := 1, 0; n < len(text); n++ {
			for matched > 0 && text[n] != text[matched] {
				matched = int(p.failure[matched-1])
			}
			if text[n] == text[matched] {
				matched++
			}
			p.failure[n] = int32(matched)
		}
	}
	return m
}

// advance takes one more byte and tells whether the pattern is complete.
func (p *stopPattern) advance(b byte) bool {
	for p.matched > 0 && p.text[p.matched] != b {
		p.matched = int(p.failure[p.matched-1])
	}
	if p.text[p.matched] == b {
		p.matched++
	}
	return p.matched == len(p.text)
}

// feed takes a piece of the output and returns what may be given out. When a stop string is complete, it is returned, too, and out
// ends before it; of several that end at the same byte the longest counts.
func (m *stopMatcher) feed(text string) (out, stop string) {
	if m == nil {
		return text, ""
	}
	for i := range len(text) {
		for j := range m.patterns {
			if p := &m.patterns[j]; p.advance(text[i]) && len(p.text) > len(stop) {
				stop = p.text
			}
		}
		if stop != "" {
			whole := append(m.held, text[:i+1]...)
			m.held = nil
			return string(whole[:len(whole)-len(stop)]), stop
		}
	}
	hold := 0
	for j := range m.patterns {
		hold = max(hold, m.patterns[j].matched)
	}
	if hold <= len(text) { // all that was kept back before can go, and maybe a part of the new text
		out = text[:len(text)-hold]
		if len(m.held) > 0 {
			out = string(m.held) + out
		}
		m.held = append(m.held[:0], text[len(text)-hold:]...)
		return out, ""
	}
	give := len(m.held) + len(text) - hold
	out = string(m.held[:give])
	m.held = append(m.held[:copy(m.held, m.held[give:])], text...)
	return out, ""
}

// rest returns what is kept back, when no more text comes.
func (m *stopMatcher) rest() string {
	if m == nil {
		return ""
	}
	out := string(m.held)
	m.held = nil
	return out
}
