// Package driver finds NVIDIA's driver library, libcuda.so.1, when it is first needed, and stands in for it where binaries are linked, so that
// programs built with tag cuda start anywhere. It owns the C header that gorgonia.org/cu is compiled with. Nothing but Go and a C compiler is
// needed to build it; without the tag it is empty.
package driver

//go:generate go run ./gen
