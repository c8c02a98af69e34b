//go:build !linux

package team

import (
	"runtime"
	"sync/atomic"
	"time"
)

// sleep polls: elsewhere than on Linux a team works, it is not tuned.
func sleep(*atomic.Uint32, uint32) { time.Sleep(50 * time.Microsecond) }

func nap(value *atomic.Uint32, old uint32) { sleep(value, old) }

func wakeAll(*atomic.Uint32) {}

func yield() { runtime.Gosched() }
