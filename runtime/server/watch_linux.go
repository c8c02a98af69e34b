package server

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// past is a deadline that wakes whoever waits on a connection.
var past = time.Unix(1, 0)

// watchPeer calls gone, once, when the peer closes or resets the connection; a peer that closes only its sending side counts as
// gone too, as in net/http. It asks the socket for POLLRDHUP, which, other than a read, consumes nothing and sees a close behind
// unread (pipelined) bytes and behind TLS records. The goroutine is parked in the runtime's poller and wakes when something
// arrives.
//
// Nobody may read from the connection before stop has returned; it leaves no read deadline behind.
func watchPeer(c net.Conn, gone func()) (stop func()) {
	raw := socketOf(c)
	if raw == nil {
		return func() {}
	}
	// A request's own read deadline may still be armed and would end the watch.
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		gone()
		return func() {}
	}
	var stopped atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		left := false
		err := raw.Read(func(fd uintptr) bool {
			left = poll(int(fd), unix.POLLRDHUP)&hungUp != 0
			return left
		})
		if left || err != nil && !stopped.Load() {
			gone()
		}
	}()
	return func() {
		stopped.Store(true)
		_ = c.SetReadDeadline(past)
		<-ended
		_ = c.SetReadDeadline(time.Time{})
	}
}

// peerLeft tells whether the peer has closed or reset the connection, as watchPeer would.
func peerLeft(c net.Conn) bool { return polled(c, unix.POLLRDHUP, hungUp) }

// polled tells whether one of some events has happened on a connection, or it was closed here. POLLHUP and POLLERR come unasked.
func polled(c net.Conn, asked, events int16) bool {
	raw := socketOf(c)
	if raw == nil {
		return false
	}
	happened := false
	err := raw.Control(func(fd uintptr) { happened = poll(int(fd), asked)&events != 0 })
	return happened || err != nil
}

// socketOf returns the socket under a connection; nil: there is none.
func socketOf(c net.Conn) syscall.RawConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return rawOf(c)
}

// hungUp are the events of a peer that has closed its sending side, or the connection.
const hungUp = unix.POLLRDHUP | unix.POLLHUP | unix.POLLERR

// poll returns what has happened on a socket, at once.
func poll(fd int, events int16) int16 {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		n, err := unix.Poll(fds, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return 0
		}
		return fds[0].Revents
	}
}
