// Package interp runs modules in the plainest way there is. It is the meaning of every op: kernels, passes and
// quantization are measured against it.
//
// Values are f32; every sum and function inside an op is computed in f64 and rounded once. A quantized tensor is
// what its codes and scales stand for. Weights are read through an interface, so that checkpoints and random
// test weights run alike. Caches live in memory, by sequence and position, so that a prompt may come in pieces.
//
// It must stay slow and obvious: no blocking, no threads, no fast paths, nothing shared with the kernels that it judges.
package interp
