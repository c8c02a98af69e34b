// Package cpu runs plans on x86-64 processors. It binds the launches of a program to the kernels of package kernel,
// owns the activation arena and the pages of the KV cache, and runs whole steps on one team of threads.
// It schedules nothing: the batch comes ready made in an engine.Step.
package cpu
