// Package x86 answers the passes' questions for x86-64 processors: the kernels that run each op, the packed layout of each
// weight and the room that activations take. It emits no machine code: the kernels are the runtime's own.
package x86
