package comm

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// endOfConnection is how long a rank whose connection has ended may take to say that the group ends.
const endOfConnection = time.Second

// socket is one direction of a connection that is never waited for in a call: whoever exchanges tries again and again, or polls.
type socket struct {
	raw  syscall.RawConn
	try  func(fd uintptr) bool // reads or writes what it can of p
	poll func(fd uintptr)
	p    []byte
	nap  time.Duration
	n    int
	err  error
	send bool
}

func newSocket(raw syscall.RawConn, send bool) *socket {
	s := &socket{raw: raw, send: send}
	call := unix.Read
	if send {
		call = unix.Write
	}
	s.try = func(fd uintptr) bool {
		s.n, s.err = call(int(fd), s.p)
		return true
	}
	s.poll = func(fd uintptr) { pollSocket(int(fd), s.send, s.nap) }
	return s
}

// move reads or writes what it can without waiting.
func (s *socket) move(p []byte) (int, error) {
	s.p = p
	access := s.raw.Read
	if s.send {
		access = s.raw.Write
	}
	if err := access(s.try); err != nil {
		return 0, err
	}
	switch {
	case s.err == unix.EAGAIN || s.err == unix.EINTR:
		return 0, nil
	case s.err != nil:
		return 0, s.err
	case s.n == 0 && !s.send:
		return 0, io.EOF
	}
	return s.n, nil
}

func (s *socket) wait(w *waiter) error {
	nap, err := w.patience()
	if err != nil || nap == 0 {
		return err
	}
	s.nap = nap
	return s.raw.Control(s.poll)
}

// overTCP makes a link of a connection.
func (g *Group) overTCP(rank int, conn net.Conn) error {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Time{})
	g.links[rank], g.kinds[rank] = &link{newSocket(raw, true), newSocket(raw, false)}, transportTCP
	g.release = append(g.release, func() { conn.Close() })
	return nil
}

// aligned returns zeroed memory that begins with a cache line.
func aligned(n int) []byte {
	const line = 128
	memory := make([]byte, n+line)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(memory)))) & (line - 1)
	return memory[skip : skip+n]
}

// ended says why a connection has: the group ends, which its first rank says at about the same time, or the rank has gone.
func (g *Group) ended(rank int, err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		return err
	}
	for end := time.Now().Add(endOfConnection); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err := g.Err(); err != nil {
			return err
		}
	}
	return gone(rank)
}
