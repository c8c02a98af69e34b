package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// sendBuffer bounds what the kernel holds for a peer that does not read; left alone it grows to megabytes.
const sendBuffer = 128 << 10

// listener hands out connections that limit the time of each write, knows the open ones, and outlives shortages of descriptors.
type listener struct {
	net.Listener
	writeTimeout time.Duration
	room         *room
	flood        flood
	inherits     bool // connections have their options from the listener
	most         int  // connections at a time: others are closed at once; 0: any number

	mu     sync.Mutex
	open   map[*conn]struct{}
	closed bool
	done   chan struct{}
}

func newListener(ln net.Listener, writeTimeout time.Duration, room *room) *listener {
	_, inherits := ln.(*inheriting)
	return &listener{Listener: ln, writeTimeout: writeTimeout, room: room, inherits: inherits, flood: newFlood(ln), open: map[*conn]struct{}{}, done: make(chan struct{})}
}

// Accept waits for a connection whose peer has not reset it meanwhile: floods of those cost no goroutine and no answer. Errors that will pass (no descriptors or buffers left, a connection that was gone before it was
// taken) are waited out: fasthttp would stop serving at the first.
func (l *listener) Accept() (net.Conn, error) {
	const shortest, longest = 5 * time.Millisecond, time.Second
	wait := shortest
	for {
		if pause := l.flood.pause(time.Now()); pause > 0 {
			time.Sleep(pause)
		}
		nc, err := l.Listener.Accept()
		if err == nil && (l.full() || peerReset(nc)) {
			_ = nc.Close()
			continue
		}
		if err == nil {
			return l.adopt(nc), nil
		}
		if !passes(err) {
			return nil, err
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, longest)
		case <-l.done:
			return nil, net.ErrClosed
		}
	}
}

func (l *listener) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.most > 0 && len(l.open) >= l.most
}

func passes(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

func (l *listener) adopt(nc net.Conn) net.Conn {
	if tcp, ok := nc.(*net.TCPConn); ok && !l.inherits {
		_ = tcp.SetWriteBuffer(sendBuffer) // a wish: the default is only larger
	}
	c := &conn{Conn: nc, owner: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = nc.Close()
	}
	l.open[c] = struct{}{}
	return c
}

// Close stops accepting; open connections stay.
func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.done)
	}
	return l.Listener.Close()
}

// closeConns closes the open connections: all, or those on which nothing was ever received.
func (l *listener) closeConns(all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if all || !c.heard.Load() {
			_ = c.Conn.Close()
		}
	}
}

// conn is a connection of which every single write must end in time. A deadline for the whole answer would cut long streams;
// one for each write cuts only peers that do not read.
type conn struct {
	net.Conn
	owner  *listener
	heard  atomic.Bool // the peer has sent something
	reset  atomic.Bool // by the peer: what is written now reaches nobody
	linger atomic.Bool // what the peer still sends is taken before the connection is closed

	received atomic.Int64 // bytes of the request at hand
	answered atomic.Bool  // something was written since: what is read next is another request's
}

// A connection that is closed while its peer still sends is reset, and a reset takes the answer away from the peer before it has read
// it. So what it sends is thrown away, within limits, before the end (RFC 9112, section 9.6).
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 64 << 20
)

// lingerOn makes the closing of a connection, plain or TLS, wait for its peer.
func lingerOn(nc net.Conn) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if c, ok := nc.(*conn); ok {
		c.linger.Store(true)
	}
}

func (c *conn) Read(p []byte) (int, error) {
	if c.answered.Swap(false) {
		c.owner.room.leave(&c.received)
	}
	n, err := c.Conn.Read(p)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	if errors.Is(err, syscall.ECONNRESET) {
		c.reset.Store(true)
	}
	if err == nil && c.owner.room.take(&c.received, n) != nil {
		c.owner.room.leave(&c.received)
		return 0, errNoRoom // with bytes, an error would be passed over
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if c.reset.Load() {
		return 0, syscall.ECONNRESET
	}
	c.answered.Store(true)
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.owner.writeTimeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = c.Conn.Close() // gRPC goes on reading after a write that failed, or waits for room to answer
	}
	return n, err
}

func (c *conn) Close() error {
	if c.linger.Swap(false) {
		c.discard()
	}
	c.owner.mu.Lock()
	delete(c.owner.open, c)
	c.owner.mu.Unlock()
	c.owner.room.leave(&c.received)
	return c.Conn.Close()
}

// discard says that nothing more will be sent, and reads until the peer says the same.
func (c *conn) discard() {
	tcp, ok := c.Conn.(*net.TCPConn)
	if ok && tcp.CloseWrite() == nil && tcp.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, tcp, lingerBytes)
	}
}

// SyscallConn gives the watcher the socket; nil where there is none.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return sc.SyscallConn()
}
