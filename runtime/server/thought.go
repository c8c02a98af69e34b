package server

import "llmc/runtime/reply"

// thought counts the tokens of a reply that are its reasoning: those that gave some of it, and those before them that gave nothing, such as the marker that it begins with. It
// reads the reply by itself, so that whole and streamed answers count alike.
type thought struct {
	parser *reply.Parser
	held   int // tokens that have given nothing yet
	tokens int
}

// newThought returns nil where replies have no reasoning.
func (r *request) newThought(p *prompt) *thought {
	if parser := r.parser(p); parser != nil && r.model.Replies.Reasons() {
		return &thought{parser: parser}
	}
	return nil
}

// take takes the text of a token, which may be none.
func (t *thought) take(text string) {
	t.held++
	for i, d := range t.parser.Feed(text) {
		if d.Reasoning != "" && i == 0 {
			t.tokens += t.held
		}
		t.held = 0
	}
}

// reasoned is how many tokens of the choices so far are reasoning; known is false where replies have none.
func (b *batch) reasoned() (tokens int, known bool) {
	for _, c := range b.choices {
		if c.thought != nil {
			tokens, known = tokens+c.thought.tokens, true
		}
	}
	return tokens, known
}
