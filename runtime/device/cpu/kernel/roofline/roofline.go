// Package roofline measures what the processor can do at best: reads from memory and multiply-adds in registers. Speeds of kernels are
// judged as fractions of these, taken in the same process and minute, because absolute figures of shared machines mean little.
package roofline

// Peak is one kind of multiply-add instruction.
type Peak struct {
	Name       string
	Target     string // least demanding target that has it
	Run        func(rounds int)
	OpsInRound int // multiplications and additions
}

// chains is the number of instructions in a round.
const chains = 12
