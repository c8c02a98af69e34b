package server

import (
	"net"
	"syscall"
	"time"
)

// flood paces the taking of connections while more than a thousand a second come. Then they are taken in batches, a pause apart:
// threads that compute are left alone meanwhile, and who resets what he opens has mostly done so before it is taken. No connection is
// refused, and none waits longer than a pause.
type flood struct {
	waits func() bool // whether a connection can be taken at once
	room  int         // connections that may still be taken as they come
	since time.Time   // when room was last given
}

const (
	floodBurst  = 256              // connections taken as they come
	floodPeriod = time.Millisecond // each of which gives room for one more
	floodPause  = 4 * time.Millisecond
)

func newFlood(ln net.Listener) flood {
	f := flood{waits: func() bool { return true }, room: floodBurst}
	if raw := listeningSocket(ln); raw != nil {
		f.waits = func() bool { return acceptable(raw) }
	}
	return f
}

func listeningSocket(ln net.Listener) syscall.RawConn {
	if i, ok := ln.(*inheriting); ok {
		ln = i.Listener
	}
	return rawOf(ln)
}

// rawOf returns the socket of a connection or listener; nil: there is none.
func rawOf(of any) syscall.RawConn {
	sc, ok := of.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// pause is how long to wait before the next connection is taken.
func (f *flood) pause(now time.Time) time.Duration {
	if periods := int(now.Sub(f.since) / floodPeriod); periods > 0 {
		f.room, f.since = min(f.room+periods, floodBurst), now
	}
	if f.room--; f.room >= 0 {
		return 0
	}
	f.room = 0
	if f.waits() {
		return 0
	}
	return floodPause
}
