package engine

import "errors"

// What can be wrong with a plan file. Errors of this package wrap one of these, so that callers can tell them apart.
var (
	ErrNotPlan   = errors.New("not a plan file")
	ErrVersion   = errors.New("plan format not supported")
	ErrTruncated = errors.New("plan is truncated")
	ErrChecksum  = errors.New("plan is damaged")
	ErrFormat    = errors.New("plan is malformed")
	ErrProgram   = errors.New("invalid program")
	ErrNotFound  = errors.New("not in the plan")
)
