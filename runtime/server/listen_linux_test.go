package server

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a listener's socket was given is there on its connections: keep-alive probes, and a buffer that the kernel doubles, for itself.
func TestConnectionsInherit(t *testing.T) {
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	must(t, err)
	defer peer.Close()
	c, err := newListener(ln, time.Second, &room{}).Accept()
	must(t, err)
	defer c.Close()
	raw := socketOf(c)
	for _, o := range []struct{ level, name, want int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.SOL_SOCKET, unix.SO_SNDBUF, 2 * sendBuffer},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9},
	} {
		must(t, raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), o.level, o.name); err != nil || got != o.want {
				t.Errorf("option %d of level %d is %d (%v), want %d", o.name, o.level, got, err, o.want)
			}
		}))
	}
}

// Who resets his connection before it is taken is not met at all; who only closes his sending side is.
func TestResetBeforeItIsTaken(t *testing.T) {
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	must(t, err)
	l := newListener(ln, time.Second, &room{})
	defer l.Close()
	open := func(text string) *net.TCPConn {
		c, err := net.Dial("tcp", ln.Addr().String())
		must(t, err)
		_, err = c.Write([]byte(text))
		must(t, err)
		return c.(*net.TCPConn)
	}
	for range 3 {
		c := open("gone")
		must(t, c.SetLinger(0))
		must(t, c.Close())
	}
	half := open("half")
	defer half.Close()
	must(t, half.CloseWrite())
	c, err := l.Accept()
	must(t, err)
	defer c.Close()
	text := make([]byte, 4)
	if _, err := c.Read(text); err != nil || string(text) != "half" {
		t.Errorf("the first connection taken said %q (%v)", text, err)
	}
}

// Nothing is written to who has reset his connection while it was read from.
func TestNothingIsWrittenAfterAReset(t *testing.T) {
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	must(t, err)
	l := newListener(ln, time.Second, &room{})
	defer l.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	must(t, err)
	c, err := l.Accept()
	must(t, err)
	defer c.Close()
	must(t, peer.(*net.TCPConn).SetLinger(0))
	must(t, peer.Close())
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("reading from who has reset: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) || c.(*conn).answered.Load() {
		t.Errorf("writing to who has reset: %v", err)
	}
}
