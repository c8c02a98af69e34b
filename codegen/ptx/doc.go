// Package ptx builds GPU kernels as typed PTX: one Go method per instruction, virtual registers that carry their
// type, structured control flow, and a verifier that refuses a wrong kernel before any assembler or GPU sees it.
// It owns the instruction rows (form, operand types, lowest target and PTX version), the register fragments of the
// matrix instructions, shared-memory descriptors and swizzles, and the printed text.
//
// A kernel is written as Go code that calls a Builder; Module.Print verifies every kernel and prints the module.
// Mistakes are collected, not thrown: a kernel with errors is built to its end and Print reports all of them with
// kernel, section and instruction.
//
// Section numbers refer to NVIDIA's "Parallel Thread Execution ISA", version 9.2.
package ptx
