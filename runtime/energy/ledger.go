package energy

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// Ledger shares a machine's energy among accounts.
type Ledger struct {
	mu       sync.Mutex
	meter    *meter
	last     float64 // joules at the last reading
	accounts []*Account
}

// Open opens the counters under a root, Root but for tests. Where there are none it is ErrNone.
func Open(root string) (*Ledger, error) {
	m, err := open(root)
	if err != nil {
		return nil, err
	}
	return &Ledger{meter: m, last: m.joules()}, nil
}

// Close closes the counters. No account may be used any more.
func (l *Ledger) Close() { l.meter.close() }

// Account is one of those who have work done.
type Account struct {
	ledger  *Ledger
	pending float64       // seconds of work since the last reading
	owed    float64       // joules that Settle has not yet given
	total   atomic.Uint64 // bits of the joules of all readings
}

// Account opens an account.
func (l *Ledger) Account() *Account {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &Account{ledger: l}
	l.accounts = append(l.accounts, a)
	return a
}

// Close takes the account out of the ledger; what it has worked and not settled falls to the others. Its total stays.
func (a *Account) Close() {
	l := a.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accounts = slices.DeleteFunc(l.accounts, func(other *Account) bool { return other == a })
}

// Begin says that work begins after a while without: what was taken in between belongs to nobody, unless others worked.
func (a *Account) Begin() {
	l := a.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, other := range l.accounts {
		if other.pending > 0 {
			return
		}
	}
	l.last = l.meter.joules()
}

// Work notes work that took so many seconds.
func (a *Account) Work(seconds float64) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	a.pending += max(0, seconds)
}

// Settle reads the counters and returns the joules that fell to the account since it was last asked.
func (a *Account) Settle() float64 {
	l := a.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	all := 0.0
	for _, other := range l.accounts {
		all += other.pending
	}
	if all > 0 {
		now := l.meter.joules()
		taken := now - l.last
		l.last = now
		for _, other := range l.accounts {
			share := taken * other.pending / all
			other.owed += share
			other.pending = 0
			other.total.Store(math.Float64bits(other.Joules() + share))
		}
	}
	joules := a.owed
	a.owed = 0
	return joules
}

// Joules returns what has fallen to the account so far. It takes no lock.
func (a *Account) Joules() float64 { return math.Float64frombits(a.total.Load()) }
