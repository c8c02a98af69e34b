//go:build !linux

package engine

// Advice is a hint on how weights will be read.
type Advice int

// Hints.
const (
	WillNeed Advice = iota
	HugePages
)

// Advise does nothing on this system.
func (p *Plan) Advise(Advice) {}

// ReadAhead does nothing here.
func (p *Plan) ReadAhead(w *WeightEntry, at, bytes int64) {}
