// Package engine is the neutral ground between compiler and runtime: the plan file (header, sections, hashes,
// writer, memory-mapped reader), the program that a plan holds for each target, the contract of kernels, and
// the interfaces through which devices are driven. It imports neither side.
package engine
