package runtime

import (
	"errors"

	"llmc/engine"
	"llmc/internal/tokenizer"
	"llmc/runtime/grammar"
	"llmc/runtime/sched"
)

// ErrDeadEnd ends generations whose grammar can not go on: the vocabulary has no token for what has to come next.
var ErrDeadEnd = errors.New("the grammar can not go on with any token of the vocabulary")

// constraint has a sequence keep to a grammar.
type constraint struct{ *grammar.Matcher }

// outlets says in the scheduler's words how an output may go on.
var outlets = [...]sched.Outlet{
	grammar.Open: sched.Open, grammar.Complete: sched.Complete, grammar.Stuck: sched.Stuck, grammar.Astray: sched.Astray,
}

// Accept implements sched.Constraint.
func (c constraint) Accept(token int32) sched.Outlet { return outlets[c.Matcher.Accept(token)] }

// NewGrammars returns what compiles grammars for a model with a tokenizer; nil where tokens have no text of their own, so that output can not be constrained.
func NewGrammars(info *engine.ModelInfo, tok *tokenizer.Tokenizer) *grammar.Compiler {
	if tok == nil || !tok.Joins() {
		return nil
	}
	size, ends := info.Vocab, info.EOS
	return grammar.NewCompiler(func() *grammar.Vocabulary {
		return grammar.NewVocabulary(size, func(id int32) grammar.Token {
			if tok.IsSpecial(id) {
				return grammar.Token{}
			}
			return grammar.Token{Middle: tok.TokenBytes(id), First: tok.FirstBytes(id)}
		}, ends)
	})
}
