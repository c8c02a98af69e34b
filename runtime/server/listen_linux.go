package server

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inheriting is a listener whose connections have their options from its own socket, which the kernel copies (tcp(7)): set for each,
// they would be six calls of the kernel for every connection that strangers open.
type inheriting struct{ net.Listener }

// What Go sets for each connection by itself, see [net.KeepAliveConfig].
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 15 * time.Second
	keepAliveCount    = 9
)

// Listen opens a port for Serve and ServeGRPC.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	config := net.ListenConfig{
		KeepAlive: -1,
		Control: func(_, _ string, raw syscall.RawConn) (err error) {
			return errors.Join(raw.Control(func(fd uintptr) { err = setInherited(int(fd)) }), err)
		},
	}
	ln, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &inheriting{ln}, nil
}

func setInherited(fd int) error {
	for _, o := range [...]struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(keepAliveIdle.Seconds())},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(keepAliveInterval.Seconds())},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveCount},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return err
		}
	}
	return nil
}

// peerReset tells whether the peer has reset the connection; one that has only closed its sending side has not.
func peerReset(c net.Conn) bool { return polled(c, 0, unix.POLLHUP|unix.POLLERR) }

// acceptable tells whether a connection waits to be taken.
func acceptable(raw syscall.RawConn) bool {
	waits := true
	err := raw.Control(func(fd uintptr) { waits = poll(int(fd), unix.POLLIN) != 0 })
	return waits || err != nil
}
