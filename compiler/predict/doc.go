// Package predict says how long a launch takes on a GPU that is not there: from the card's figures, what an entry's text says of itself, the registers
// that an assembler gave it, and what the launch moves and multiplies. It owns the model; docs/kernels.md shows what it predicts.
package predict
