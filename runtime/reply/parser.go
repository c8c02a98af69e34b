package reply

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Delta is some of a reply: one of its members is set.
type Delta struct {
	Content, Reasoning string
	Call               *Call
}

// Call is some of a call. The first of each call has its name; arguments come in pieces of one JSON object.
type Call struct {
	Index     int // among the calls of the reply
	Name      string
	Arguments string
}

// state takes from the front of the text what it can. It returns false when more text is needed, and then leaves what it needs.
type state func(p *Parser) bool

// Parser reads one reply.
type Parser struct {
	format  Format
	types   argumentTypes
	calling bool // tools were offered: else calls are content

	state state
	torn  string          // the beginning of a character, whose end is still to come
	text  string          // not taken yet
	grows strings.Builder // ends with text, where text came in pieces; see more
	ended bool            // nothing follows text
	out   []Delta
	calls int

	begun    bool // content has been given
	called   bool // and a call since
	reasoned bool
	blank    string          // white space that text begins with, as far as lead has looked
	spaces   strings.Builder // white space that is given before further content, and dropped before calls
	object   object          // the call in JSON that is being read
	since    strings.Builder // of a bare call: its text so far, in case that it is none
	list     brackets        // of Python, that is being read
	searched int             // bytes of text in which an end was looked for
}

// Parser returns a parser for a reply to a prompt, which may have opened the reasoning itself. tools is the JSON array of what was offered; nil: none was.
func (f Format) Parser(prompt string, tools []byte) *Parser {
	p := &Parser{format: f, calling: tools != nil && f.calls != nil, types: readArgumentTypes(tools)}
	p.state = (*Parser).content
	if f.thinkEnd != "" && opened(prompt, f.thinkBegin) {
		p.state = (*Parser).reasoning
	}
	return p
}

// opened tells whether a prompt ends in reasoning that has begun.
func opened(prompt, begin string) bool {
	return strings.HasSuffix(strings.TrimRightFunc(prompt, unicode.IsSpace), begin)
}

// Feed takes the next text and returns what it gives, which is valid until the next call.
func (p *Parser) Feed(text string) []Delta {
	p.out = p.out[:0]
	text = p.torn + text
	whole := len(text) - tornBytes(text)
	p.torn = text[whole:]
	p.more(text[:whole])
	for p.text != "" && p.state(p) {
	}
	return p.out
}

// more adds to the text that is not taken yet. Where much has to be held, as in calls that are read when all of them is there, a token must not have all before it copied: so the text
// is the end of a builder, which copies as often as it doubles.
func (p *Parser) more(text string) {
	if p.text == "" {
		p.text = text
		p.grows.Reset()
		return
	}
	if !strings.HasSuffix(p.grows.String(), p.text) { // at no cost where it is the end: the same bytes are equal
		p.grows.Reset()
		p.grows.WriteString(p.text)
	}
	p.grows.WriteString(text)
	all := p.grows.String()
	p.text = all[len(all)-len(p.text)-len(text):]
}

// lead is the text without white space at its beginning. What it has found to be white space it does not look at again.
func (p *Parser) lead() string {
	if !strings.HasPrefix(p.text, p.blank) { // at no cost where it does, as in more
		p.blank = ""
	}
	rest := strings.TrimLeftFunc(p.text[len(p.blank):], unicode.IsSpace)
	p.blank = p.text[:len(p.text)-len(rest)]
	return rest
}

// tornBytes is how many bytes at the end of a text are the beginning of a character.
func tornBytes(text string) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRuneInString(last) {
				return 0
			}
			return n
		}
	}
	return 0
}

// End returns what the end of the reply gives.
func (p *Parser) End() []Delta {
	p.out, p.ended = p.out[:0], true
	p.text, p.torn = p.text+p.torn, ""
	for p.text != "" && p.state(p) {
	}
	switch {
	case p.object.open():
		p.finishObject(p.since.String() + p.text)
	case p.object.spelled+p.text != "":
		p.give(p.object.spelled + p.text)
	}
	p.text = ""
	return p.out
}

// Called tells whether the reply has called a tool.
func (p *Parser) Called() bool { return p.calls > 0 }

// give gives content.
func (p *Parser) give(text string) {
	if !p.begun || p.called {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
	}
	kept := strings.TrimRightFunc(text, unicode.IsSpace)
	if kept == "" {
		p.spaces.WriteString(text) // none where nothing came before
		return
	}
	p.begun, p.called = true, false
	p.say(p.spaces.String() + kept)
	p.spaces.Reset()
	p.spaces.WriteString(text[len(kept):])
}

func (p *Parser) say(text string) {
	if last := len(p.out) - 1; last >= 0 && p.out[last].Content != "" {
		p.out[last].Content += text
		return
	}
	p.out = append(p.out, Delta{Content: text})
}

// call begins a call.
func (p *Parser) call(name string) {
	p.spaces.Reset()
	p.called = true
	p.out = append(p.out, Delta{Call: &Call{Index: p.calls, Name: name}})
	p.calls++
}

// arguments gives more of the arguments of the last call.
func (p *Parser) arguments(text string) {
	if text == "" {
		return
	}
	if last := len(p.out) - 1; last >= 0 && p.out[last].Call != nil {
		p.out[last].Call.Arguments += text
		return
	}
	p.out = append(p.out, Delta{Call: &Call{Index: p.calls - 1, Arguments: text}})
}

// content is the state outside of reasoning and calls.
func (p *Parser) content() bool {
	if think := p.format.thinkBegin; think != "" && !p.begun { // reasoning comes before content
		lead := p.lead()
		if rest, ok := strings.CutPrefix(lead, think); ok {
			p.text, p.state = rest, (*Parser).reasoning
			return true
		}
		if !p.ended && strings.HasPrefix(think, lead) {
			return false
		}
	}
	markers, bare := p.markers(), byte(0)
	if p.calling {
		bare = p.format.calls.bare
	}
	if !p.begun && bare != 0 {
		lead := p.lead()
		if lead == "" {
			return false
		}
		if lead[0] == bare {
			p.text, p.list = lead, brackets{}
			p.since.Reset()
			p.state = p.format.calls.body
			p.object = object{bare: true}
			return true
		}
	}
	at, marker := first(p.text, markers)
	if at < 0 {
		held := 0
		if !p.ended {
			held = partial(p.text, markers)
		}
		p.give(p.text[:len(p.text)-held])
		p.text = p.text[len(p.text)-held:]
		return false
	}
	p.give(p.text[:at])
	p.object, p.searched = object{}, 0
	p.since.Reset()
	p.text = p.text[at:]
	p.state = p.format.calls.body
	if p.format.calls.tags == nil { // who look at their own markers again
		p.text = p.text[len(marker):]
	}
	return true
}

// markers are what ends content.
func (p *Parser) markers() []string {
	if p.calling || p.format.channeled() {
		return p.format.calls.begin
	}
	return nil
}

// reasoning is the state behind the marker of reasoning.
func (p *Parser) reasoning() bool {
	lead := p.lead() // the end has no white space
	if at := strings.Index(lead, p.format.thinkEnd); at >= 0 {
		at += len(p.text) - len(lead)
		p.reason(strings.TrimRightFunc(p.text[:at], unicode.IsSpace))
		p.text = p.text[at+len(p.format.thinkEnd):]
		p.state = (*Parser).content
		p.spaces.Reset()
		return true
	}
	held := 0
	if !p.ended {
		held = partial(lead, []string{p.format.thinkEnd})
		kept := strings.TrimRightFunc(lead[:len(lead)-held], unicode.IsSpace) // white space before the end is dropped
		if held = len(lead) - len(kept); kept == "" {
			held = len(p.text)
		}
	}
	p.reason(p.text[:len(p.text)-held])
	p.text = p.text[len(p.text)-held:]
	return false
}

func (p *Parser) reason(text string) {
	if !p.reasoned {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
	}
	if text == "" {
		return
	}
	p.reasoned = true
	if last := len(p.out) - 1; last >= 0 && p.out[last].Reasoning != "" {
		p.out[last].Reasoning += text
		return
	}
	p.out = append(p.out, Delta{Reasoning: text})
}

// until takes the text before an end, and the end; all of it where nothing follows. It returns false when more text is needed.
func (p *Parser) until(end string) (block string, ok bool) {
	from := max(0, p.searched-len(end))
	at := strings.Index(p.text[from:], end)
	if at < 0 && !p.ended {
		p.searched = len(p.text)
		return "", false
	}
	p.searched = 0
	if at < 0 {
		block, p.text = p.text, ""
		return block, true
	}
	block, p.text = p.text[:from+at], p.text[from+at+len(end):]
	return block, true
}

// first finds the earliest of markers, the longest where several begin.
func first(text string, markers []string) (at int, marker string) {
	at = -1
	for _, m := range markers {
		if i := strings.Index(text, m); i >= 0 && (at < 0 || i < at || i == at && len(m) > len(marker)) {
			at, marker = i, m
		}
	}
	return at, marker
}

// leading finds the longest of markers that a text begins with.
func leading(text string, markers []string) (marker string) {
	for _, m := range markers {
		if len(m) > len(marker) && strings.HasPrefix(text, m) {
			marker = m
		}
	}
	return marker
}

// partial is how many bytes at the end of a text may begin one of markers.
func partial(text string, markers []string) int {
	longest := 0
	for _, m := range markers {
		for n := min(len(m)-1, len(text)); n > longest; n-- {
			if strings.HasSuffix(text, m[:n]) {
				longest = n
				break
			}
		}
	}
	return longest
}
