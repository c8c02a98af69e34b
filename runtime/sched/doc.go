// Package sched decides what each step computes. It is pure: no goroutine, no device, no clock of its own. Its owner calls
//
//	step := s.Schedule(now)   // fill a step
//	device.Step(step, out)
//	s.Complete(out)           // or s.Fail()
//	outputs = s.TakeOutputs(outputs[:0])
//
// and may call Add and Abort at any time in between (never at the same time: the owner serialises). With a device that takes a step while it works on
// another, it calls Ahead once Schedule's or the last Ahead's step has been started, so that the device need not wait for what comes next.
//
// There is no prefill phase and no decode phase. A sequence is a list of tokens of which the first few have their keys and
// values cached; in each step it catches up by some of the others, and when it has caught up, the step samples its next token.
//
// Sequences are ranked by priority, then by arrival. Rank decides whose pages are found first and who is
// preempted last; who is admitted first is decided by priority, then by how much service tenants have had for their shares (see line), then by arrival. A sequence whose length changes the rotary frequencies of all its tokens starts anew, see regime. A preempted sequence keeps its rank and its tokens, loses its pages and catches up again later. The
// best-ranked running sequence is never preempted and moves on in every step, so all sequences end. Texts that sequences of an encoder-decoder attend to: see source.go.
package sched
