package team

import "sync/atomic"

// spin waits for a few microseconds at most until value is not old, and tells whether it is not.
//
//go:noescape
func spin(value *atomic.Uint32, old uint32) bool
