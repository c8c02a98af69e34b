// Package comm carries bytes between the ranks of a group: through shared memory on one machine, over TCP between machines. It owns how ranks find and trust each other, and how they notice
// that one has gone or stands still. What the bytes mean is its users' business.
//
// Between each two ranks lies a link with a way in each direction: a ring in memory that both share, which one side fills and the other empties without a lock, or a connection that is read and
// written without waiting. Whoever waits tries again for a moment and then naps, so that an idle group uses no processor.
package comm

import (
	"errors"
	"fmt"
)

// ErrBroken is wrapped by every error after which a group is of no use any more.
var ErrBroken = errors.New("ranks have lost each other")

// ErrClosed is wrapped by errors of a group that its first rank, or this one, has closed.
var ErrClosed = fmt.Errorf("%w: the group is closed", ErrBroken)
