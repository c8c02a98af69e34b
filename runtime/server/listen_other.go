//go:build !linux

package server

import (
	"context"
	"net"
	"syscall"
)

// inheriting is a listener whose connections have their options from its own socket: none here.
type inheriting struct{ net.Listener }

// Listen opens a port for Serve and ServeGRPC.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", address)
}

func peerReset(net.Conn) bool { return false }

func acceptable(syscall.RawConn) bool { return true }
