package runtime

import (
	"time"

	"llmc/runtime/energy"
	"llmc/runtime/sched"
)

// joules shares the energy of steps among their sequences, by the time that a step took and the part of its tokens that a sequence had. It is the
// loop's own; nil: energy is not known.
type joules struct {
	account *energy.Account
	read    time.Time // last
	idle    bool      // the loop has waited since
	shares  []sched.Share
	touched []*generation // whose work is not paid yet
	work    float64       // of these, seconds
}

// readEvery is how often counters are read at most, but for the ends of generations: a reading is a system call for each.
const readEvery = 10 * time.Millisecond

func newJoules(l *energy.Ledger) *joules {
	if l == nil {
		return nil
	}
	return &joules{account: l.Account(), idle: true}
}

// waits notes that the loop waits for work.
func (j *joules) waits() {
	if j != nil {
		j.idle = true
	}
}

// begin is called before a step is given to the device.
func (j *joules) begin() {
	if j != nil && j.idle {
		j.idle = false
		j.account.Begin()
	}
}

// step shares a step that the device has computed. It is still the scheduler's oldest.
func (j *joules) step(s *sched.Scheduler, tokens int, took time.Duration, now time.Time) {
	if j == nil {
		return
	}
	seconds := took.Seconds()
	j.account.Work(seconds)
	j.shares = s.Shares(j.shares[:0])
	for _, share := range j.shares {
		g := share.Seq.Owner().(*generation)
		if g.work == 0 {
			j.touched = append(j.touched, g)
		}
		part := seconds * float64(share.Tokens) / float64(max(1, tokens))
		g.work += part
		j.work += part
	}
	clear(j.shares)
	if now.Sub(j.read) >= readEvery {
		j.settle(now)
	}
}

// settle pays what has been done since the last reading.
func (j *joules) settle(now time.Time) {
	if j == nil || len(j.touched) == 0 {
		return
	}
	j.read = now
	taken := j.account.Settle()
	for _, g := range j.touched {
		if j.work > 0 {
			g.joules += taken * g.work / j.work
		}
		g.work = 0
	}
	clear(j.touched) // lets go of the generations
	j.touched, j.work = j.touched[:0], 0
}

// close ends the account, for the engine has ended.
func (j *joules) close() {
	if j != nil {
		j.account.Close()
	}
}

// total is what has fallen to the engine; below 0: not known.
func (j *joules) total() float64 {
	if j == nil {
		return -1
	}
	return j.account.Joules()
}
