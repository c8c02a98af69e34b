package oci

import "errors"

// Errors that callers tell apart; all are wrapped in one line that says what, where and what to do.
var (
	ErrNotFound = errors.New("not there")
	ErrDenied   = errors.New("access denied")
	ErrDigest   = errors.New("digest does not match")
	ErrNoPlan   = errors.New("no plan")             // what is there is something else, or breaks a bound
	ErrServer   = errors.New("no usable answer")    // the registry or the way to it; another try may help
	ErrTarget   = errors.New("no program for here") // of a plan whose targets do not run on this machine
	ErrSpace    = errors.New("not enough room")
)
