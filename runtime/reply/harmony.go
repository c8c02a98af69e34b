package reply

import (
	"regexp"
	"strings"
)

// Parts of gpt-oss's format (OpenAI's "harmony response format"): <|start|>role<|channel|>name to=recipient <|constrain|>json<|message|>text<|end|>.
var (
	harmonyEnds      = []string{"<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>"}
	harmonyRecipient = regexp.MustCompile(`\bto=(?:functions\.)?([^\s<]+)`)
	harmonyChannel   = regexp.MustCompile(`(?:^|<\|channel\|>)\s*(analysis|commentary|final)\b`)
)

// longestHeader bounds what stands before a message.
const longestHeader = 1024

// harmonyHeader is the state behind <|channel|> or <|start|>, up to <|message|>.
func (p *Parser) harmonyHeader() bool {
	const message = "<|message|>"
	at := strings.Index(p.text, message)
	if at < 0 && !p.ended && len(p.text) < longestHeader+len(message) {
		return false
	}
	if at < 0 || at > longestHeader { // wherever the text was cut: a header is one by where its end stands
		end := min(len(p.text), longestHeader)
		if end < len(p.text) {
			end -= tornBytes(p.text[:end])
		}
		p.state = (*Parser).content
		p.give(p.text[:end])
		p.text = p.text[end:]
		return true
	}
	header := p.text[:at]
	p.text, p.state = p.text[at+len(message):], (*Parser).harmonyFinal
	channel := ""
	if m := harmonyChannel.FindStringSubmatch(header); m != nil {
		channel = m[1]
	}
	switch to := harmonyRecipient.FindStringSubmatch(header); {
	case to != nil && p.calling:
		p.call(to[1])
		p.state = (*Parser).harmonyCall
	case channel == "analysis":
		p.state = (*Parser).harmonyAnalysis
	}
	return true
}

func (p *Parser) harmonyFinal() bool    { return p.harmonyMessage(p.give) }
func (p *Parser) harmonyAnalysis() bool { return p.harmonyMessage(p.reason) }
func (p *Parser) harmonyCall() bool     { return p.harmonyMessage(p.arguments) }

// harmonyMessage hands on the text of a message.
func (p *Parser) harmonyMessage(take func(string)) bool {
	at, end := first(p.text, harmonyEnds)
	if at < 0 {
		held := 0
		if !p.ended {
			held = partial(p.text, harmonyEnds)
		}
		take(p.text[:len(p.text)-held])
		p.text = p.text[len(p.text)-held:]
		return false
	}
	take(p.text[:at])
	p.state = (*Parser).content
	if end != "<|start|>" && end != "<|channel|>" { // which begin the next
		at += len(end)
	}
	p.text = p.text[at:]
	return true
}
