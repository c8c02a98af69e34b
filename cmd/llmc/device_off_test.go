//go:build !cuda

package main

// withoutGPU is how --device cuda is refused: this build can not use any.
var withoutGPU = struct {
	exit int
	text string
}{2, "this build has no CUDA support; `make cuda` builds"}
