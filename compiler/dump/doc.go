// Package dump makes reports for people and for programs: what a plan holds, what it needs in memory, and what each launch
// reads and computes. It only reads.
package dump
