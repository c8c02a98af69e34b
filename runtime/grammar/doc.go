// Package grammar keeps the output of a model to a language: a JSON schema, a regular expression, a grammar, a list of choices. It says, before every
// token, which tokens of a vocabulary may come next, as a mask that devices sample under (engine.Sampling.Allowed).
//
// A front end (schema*.go, regex.go, ebnf.go, choice.go) writes a description as rules over bytes (expr.go). Each rule becomes a deterministic
// automaton whose edges are bytes or calls of other rules (determinize.go), so a grammar without recursion needs no stack and one with recursion needs a
// stack of calls alone. What an output has come to is a set of places with their stacks (state.go): almost always one. States are made when they are
// first met, found again by their contents, and keep their transitions.
//
// A mask is not made by trying every token. Tokens lie in a trie, which is walked with the states (vocabulary.go, mask.go), and what a walk finds that depends on a
// place in its rule alone, whatever called the rule, is kept for all outputs and, where the rule calls no others, for all grammars that have the same rule:
// tokens that stay inside, and the nodes of the trie at which the rule may be left (local.go). What places of the callers allow behind those is kept in the same way, so
// the stack only says what is to be joined (mask.go, exit.go). Masks of states are kept too, and places that no token tells apart share theirs (alike.go): a
// character of a long string is like the next. Most of this is made while nobody waits for it (ahead.go).
// (The idea is that of Dong et al., "XGrammar: Flexible and Efficient Structured Generation Engine for Large Language Models", 2024.)
//
// Where most of a vocabulary may follow, as in strings, the walk is over a tree in which tokens that a rule does not tell apart are one (fold.go, alphabet.go, local.go).
//
// The mask of a state is exactly the tokens after which the text can still be completed, so an output never comes to a place where it can not go on, unless the
// vocabulary has no token for the bytes that it needs; end-of-sequence tokens are in it where the text is complete. Special tokens are never text.
// Everything is bounded: see limits.go.
package grammar
