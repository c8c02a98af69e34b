// Package shim has the calls of the CUDA driver API that gorgonia.org/cu lacks, on cu's own types: attributes of functions, pinned memory, many
// commands in one call from Go, and graphs made of them. Without build tag cuda it is empty.
package shim
