//go:build !linux

package comm

import (
	"errors"
	"time"
)

// hostID says that memory is not shared: elsewhere than on Linux ranks use TCP.
func hostID() string { return "" }

var errNotShared = errors.New("ranks share memory on Linux alone: take --rank-transport tcp")

func createShared(string, int, int) ([]byte, func(), error) { return nil, nil, errNotShared }

func openShared(string, int, int, time.Time) ([]byte, func(), error) { return nil, nil, errNotShared }
