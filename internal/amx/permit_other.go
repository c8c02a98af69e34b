//go:build !linux || !amd64

package amx

// permitted is for systems that are not known to give tiles.
func permitted() bool { return false }
