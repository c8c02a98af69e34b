// Package x86 generates programs for x86-64 processors: it names the kernels that run each op, the packed layout of each
// weight and the room that activations take, and turns the scheduled IR into an engine.Program. It emits no machine code:
// the kernels are the runtime's own.
package x86
