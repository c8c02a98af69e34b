// Package draft guesses which tokens come next in a sequence, and says how many guesses a step is worth. Guesses come from what the sequence has said
// before (Index), or from a smaller model beside the one that is served (Model). Whether they are right is the business of the step that verifies them: what
// is drafted here changes how fast tokens come, never which.
//
// A guess is worth its row if it is likely enough (Rates, learned from every guess before) for what the row adds to the time of the step (Costs, learned from
// every step before): Allot weighs one against the other. The package knows no scheduler, no request and no clock.
package draft
