//go:build cuda

package main

// withoutGPU is how --device cuda is refused where there is no driver.
var withoutGPU = struct {
	exit int
	text string
}{1, "no NVIDIA driver is installed"}
