// Command soak runs llmrun as a process under traffic and faults, and holds it to what it owes: every stream has the text that was computed when the server was idle, nobody is
// told of an error that is not theirs, and at the end goroutines, descriptors, pages and memory are what they were. `make soak` and `make faults` run it; docs/reliability.md has
// what it found.
package main
