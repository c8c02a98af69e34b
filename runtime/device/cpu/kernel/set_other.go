//go:build !amd64

package kernel

// archSets returns the sets in assembly: none on this architecture.
func archSets() []*Set { return nil }
