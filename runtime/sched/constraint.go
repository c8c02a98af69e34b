package sched

import "llmc/engine"

// Constraint keeps the output of a sequence to a language. It is asked before every token which ones may come, so such a sequence is not part of a step that
// is scheduled before its last token is known.
type Constraint interface {
	// Allowed returns the tokens that may come behind the output and guesses of its next tokens, as engine.Sampling.Allowed, for a step that may be in flight for
	// long; nil: a guess may not come itself.
	Allowed(guesses []int32) []uint32
	// Accept takes the next token of the output, which is none of those that end it, and says what may follow.
	Accept(token int32) Outlet
}

// Outlet says how an output under a constraint may go on.
type Outlet uint8

// The ways on.
const (
	Open     Outlet = iota // more tokens, or also the end
	Complete               // no more tokens: the output is all that it can be
	Stuck                  // no tokens, though the output is not complete
	Astray                 // the token was not allowed
)

// outlets says how a sequence ends.
var outlets = [...]Finish{Open: Running, Complete: Completed, Stuck: DeadEnd, Astray: BadSample}

// waits tells whether the sequence can not be part of a step yet, since its constraint has to see the tokens in flight first.
func (q *Sequence) waits() bool { return q.request.Constraint != nil && q.pending > 0 }

// constrained is a sampling under the constraint. It is good until the next step is built; the sequence has no other in flight then.
func (q *Sequence) constrained(s *engine.Sampling, guesses []int32) *engine.Sampling {
	if len(guesses) == 0 {
		q.masked = q.masked[:0]
	}
	if len(q.masked) == cap(q.masked) { // rows that are there keep pointing where they do
		q.masked = make([]engine.Sampling, 0, len(q.masked)+len(q.drafts)+1)
	}
	q.masked = append(q.masked, *s)
	last := &q.masked[len(q.masked)-1]
	last.Allowed = q.request.Constraint.Allowed(guesses)
	return last
}

// keepAllowed drops guesses that the constraint does not allow, and those behind them.
func (q *Sequence) keepAllowed() {
	if q.request.Constraint == nil {
		return
	}
	for n := len(q.drafts); n > 0; n-- {
		if q.request.Constraint.Allowed(q.drafts[:n]) != nil {
			q.drafts = q.drafts[:n]
			return
		}
	}
	q.drafts = q.drafts[:0]
}

// follow has the constraint take the token just sampled.
func (q *Sequence) follow(token int32) Finish {
	if q.request.Constraint == nil || q.forced.sampling(q.Outputs()-1, q.limit-len(q.request.Prompt)) != nil {
		return Running
	}
	return outlets[q.request.Constraint.Accept(token)]
}
