package grammar

import (
	"errors"
	"fmt"
)

// Bounds of what one description and one output may take. Descriptions come from requests.
const (
	maxSourceBytes = 1 << 20 // of a description
	maxNFAStates   = 1 << 19 // of all rules, before automata are made deterministic
	maxStates      = 1 << 16 // of all automata that are made deterministic
	maxWordStates  = 1 << 18 // of the automaton of a list of choices
	maxSteps       = 1 << 23 // edges looked at while automata are made
	maxRules       = 1 << 14
	maxRepeat      = 4096    // in a counted repetition
	maxNesting     = 200     // of descriptions
	maxStack       = 1024    // calls that are open in an output; deeper ones are ruled out
	maxItems       = 2048    // places in which an ambiguous output may be at once; further ones are ruled out
	maxVisits      = 1 << 23 // nodes of the vocabulary's tree looked at for a mask
	// heldStates, heldMasks and heldLocal are how many bytes of states and masks a grammar keeps, and a vocabulary of what its grammars share. What is beyond is made again.
	heldStates = 6 << 20
	mostStates = 48 << 20 // even while a mask is made
	heldMasks  = 6 << 20
	heldLocal  = 64 << 20
	// heldGrammars are compiled and kept for whoever asks next.
	heldGrammars = 32
	heldPrograms = 96 << 20 // bytes of their automata
)

// Error says what is wrong with a description.
type Error struct {
	Where   string // a place in the description: "at byte 12", "#/properties/a/format"; "": all of it
	Problem string
}

func (e *Error) Error() string {
	if e.Where == "" {
		return e.Problem
	}
	return e.Where + ": " + e.Problem
}

func wrong(where, format string, args ...any) *Error {
	return &Error{Where: where, Problem: fmt.Sprintf(format, args...)}
}

// ErrTooLarge is wrapped by errors of descriptions that are right but take more than they may.
var ErrTooLarge = errors.New("is too large")
