// Package codegen turns scheduled IR into engine programs. It owns what all targets share: operands, buffers, caches and the order of
// launches. What a target adds is in a package of its own: x86 names kernels that the runtime has, cuda writes them.
package codegen
