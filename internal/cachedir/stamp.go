package cachedir

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Stamp says which state of which file there is, as far as the file system tells without reading it: what git's index keeps of a file. A file that is written to gets
// another one, unless that happens within the clock's step.
type Stamp struct {
	Device   uint64 `json:"device"`
	Inode    uint64 `json:"inode"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // nanoseconds since 1970; Changed too
	Changed  int64  `json:"changed"`
}

// StampOf looks at a file; links are followed.
func StampOf(path string) (Stamp, error) {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return Stamp{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return Stamp{uint64(s.Dev), uint64(s.Ino), s.Size, s.Mtim.Nano(), s.Ctim.Nano()}, nil
}

// Steps of the clocks of file systems: of those that count nanoseconds that of the system, which is at most 10 ms; of others up to two seconds.
const (
	fineStep   = 20 * time.Millisecond
	coarseStep = 2 * time.Second
)

func (s Stamp) step() time.Duration {
	if s.Modified%int64(time.Second) == 0 && s.Changed%int64(time.Second) == 0 {
		return coarseStep
	}
	return fineStep
}

// Settled tells whether the file was last changed so long before a time that any change since then shows.
func (s Stamp) Settled(at time.Time) bool {
	return at.UnixNano()-max(s.Modified, s.Changed) > int64(s.step())
}

// Settle waits until a file that was just written is settled, and returns its stamp.
func Settle(path string) (Stamp, error) {
	s, err := StampOf(path)
	if err == nil && !s.Settled(time.Now()) {
		time.Sleep(s.step() + time.Millisecond)
		return StampOf(path)
	}
	return s, err
}
