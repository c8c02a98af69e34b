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
		hungUp := false
		err := raw.Read(func(fd uintptr) bool {
			hungUp = peerGone(int(fd))
			return hungUp
		})
		if hungUp || err != nil && !stopped.Load() {
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
func peerLeft(c net.Conn) bool {
	raw := socketOf(c)
	if raw == nil {
		return false
	}
	left := false
	err := raw.Control(func(fd uintptr) { left = peerGone(int(fd)) })
	return left || err != nil // which is a connection that was closed here
}

// socketOf returns the socket under a connection; nil: there is none.
func socketOf(c net.Conn) syscall.RawConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

func peerGone(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	for {
		n, err := unix.Poll(fds, 0)
		if err == unix.EINTR {
			continue
		}
		return err == nil && n > 0 && fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	}
}
