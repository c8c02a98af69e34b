// Package rest has loops that serve requests give memory back when nobody has asked them for anything for a while.
package rest

import (
	"runtime"
	"runtime/debug"
	"time"
)

// After is how long nobody must have asked for anything.
const After = 15 * time.Second

// Loop is what a loop knows of its rest. The zero value is that of one that has worked.
type Loop struct{ rested bool }

// Worked says that there may be something to give back again.
func (l *Loop) Worked() { l.rested = false }

// Wait waits to be woken. When that does not happen for a while, relieve is called first, and what the Go heap has too much of goes back to the system: once,
// until the loop has worked again.
func (l *Loop) Wait(wake <-chan struct{}, relieve func()) {
	if !l.rested && !woken(wake, After) {
		l.rested = true
		relieve()
		runtime.GC() // what pools keep outlives one collection
		debug.FreeOSMemory()
	}
	if l.rested {
		<-wake
	}
}

func woken(wake <-chan struct{}, within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-wake:
		return true
	case <-timer.C:
		return false
	}
}
