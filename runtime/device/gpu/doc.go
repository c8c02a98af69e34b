// Package gpu runs programs whose kernels are part of the plan. It owns the memory of a loaded plan (weights, activations, KV pages, a
// step's arrays), the arguments of launches and the order in which they run. What executes them is a Driver: a GPU, or an emulator.
package gpu
