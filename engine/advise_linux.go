package engine

import (
	"os"

	"golang.org/x/sys/unix"
)

// Advice is a hint on how weights will be read.
type Advice int

// Hints. HugePages is off by default: measured gains contradict each other.
const (
	WillNeed  Advice = unix.MADV_WILLNEED // read ahead in the background
	HugePages Advice = unix.MADV_HUGEPAGE
)

// Advise gives the kernel a hint about all weights. It is no error when the kernel does not take it.
func (p *Plan) Advise(advice Advice) {
	if s := p.header.find(KindWeights, ""); s.Size > 0 {
		_ = unix.Madvise(p.mapped[s.Offset:s.Offset+s.Size], int(advice))
	}
}

// ReadAhead tells the kernel that a part of a weight will be read soon, so that a disk reads in long runs what is not in memory.
func (p *Plan) ReadAhead(w *WeightEntry, at, bytes int64) {
	from := p.base + w.Offset + max(at, 0)
	to := min(from+bytes, p.base+w.Offset+w.Bytes)
	from = from / int64(os.Getpagesize()) * int64(os.Getpagesize())
	if from < to {
		_ = unix.Madvise(p.mapped[from:to], unix.MADV_WILLNEED)
	}
}
