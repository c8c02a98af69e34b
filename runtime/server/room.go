package server

import (
	"errors"
	"sync/atomic"
)

// room bounds the bytes of requests that are being received or answered, of all connections together: each may have a large body, and a thousand that come slowly, or wait
// for their turn, would otherwise take gigabytes.
type room struct {
	most  int64
	taken atomic.Int64
}

// smallRequest is what a request has in any case and is not counted: who asks small questions does not suffer from those who send much.
const smallRequest = 64 << 10

var errNoRoom = errors.New("requests have all the memory that they may")

// take counts n bytes more of a request that has had some; n below 0 gives some back. With errNoRoom the request has to end.
func (r *room) take(had *atomic.Int64, n int) error {
	now := had.Add(int64(n))
	if more := beyond(now) - beyond(now-int64(n)); more != 0 && r.taken.Add(more) > r.most && more > 0 {
		return errNoRoom
	}
	return nil
}

// leave gives back what a request has had.
func (r *room) leave(had *atomic.Int64) {
	if n := beyond(had.Swap(0)); n > 0 {
		r.taken.Add(-n)
	}
}

// beyond is what of a request is counted.
func beyond(bytes int64) int64 { return max(0, bytes-smallRequest) }
