// Package dump makes reports for people and for programs: what a plan holds, what it needs in memory, what each launch moves and
// computes, and what each pass did to the IR. It only reads; nothing of a build depends on it.
package dump
