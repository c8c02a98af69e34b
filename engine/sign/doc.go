// Package sign holds signatures of plans in the forms that cosign makes and takes: simple signing payloads, DSSE envelopes, bundles. It owns keys and the policy that says whose
// signatures are needed. Everything it reads is bounded and untrusted; where signatures lie is engine/oci's to know.
package sign

import "errors"

// Errors that callers tell apart; all are wrapped in one line that says what, where and what to do.
var (
	ErrUnsigned  = errors.New("not signed")
	ErrUntrusted = errors.New("signature not accepted") // there are signatures, and none is of a key that counts, for these bytes
	ErrKey       = errors.New("no usable key")
	ErrPolicy    = errors.New("signature policy")
)
