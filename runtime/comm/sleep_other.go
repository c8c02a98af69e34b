//go:build !linux

package comm

import (
	"runtime"
	"sync/atomic"
	"time"
)

// sleep polls: elsewhere than on Linux ranks work, they are not tuned.
func sleep(_ *atomic.Uint64, _ uint64, most time.Duration) { time.Sleep(min(most, time.Millisecond)) }

func wake(*atomic.Uint64) {}

func yield() { runtime.Gosched() }

func pollSocket(_ int, _ bool, most time.Duration) { time.Sleep(min(most, time.Millisecond)) }
