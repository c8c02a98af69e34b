//go:build !linux

package numa

import "errors"

var errUnknown = errors.New("nodes of memory are known on Linux alone")

// Allowed returns the processors that this process may use; nil: it is not known.
func Allowed() []int { return nil }

// Pin keeps the calling thread on a node's processors.
func Pin(Node) (back func(), err error) { return nil, errUnknown }

// Interleave has the pages of memory taken from nodes in turn.
func Interleave([]byte, []int) error { return errUnknown }

// Bring has the pages in memory moved to a node.
func Bring([]byte, int) error { return errUnknown }
