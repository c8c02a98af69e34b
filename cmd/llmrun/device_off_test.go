//go:build !cuda

package main

import (
	"testing"

	"llmc/internal/clitest"
)

// TestNoCUDASupport wants a build without it to say how to get one that has it.
func TestNoCUDASupport(t *testing.T) {
	clitest.Run(t, "", "serve", "no.plan", "--device", "cuda").Refused(t, 2, "device \"cuda\": this build has no CUDA support; `make cuda` builds bin/llmrun-cuda")
}
