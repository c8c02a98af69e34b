package runtime

import (
	"sync/atomic"

	"llmc/runtime/sched"
)

// snapshot is the scheduler's figures as they were when it last changed. Readers take no lock and never make the loop wait: the writer, who holds the
// engine's lock, makes the version odd while it writes, and a reader that has seen two versions, or an odd one, reads again.
type snapshot struct {
	version atomic.Uint64
	words   [snapshotWords]atomic.Uint64
}

const (
	plainWords    = 13 // figures beside those of the places of drafts
	snapshotWords = plainWords + sched.DraftPlaces
)

// publish takes a snapshot. The caller holds the lock, or nobody else knows the engine yet.
func (e *Engine) publish() {
	s := e.sched.Stats()
	e.snapshot.write(&s)
}

func (p *snapshot) write(s *sched.Stats) {
	p.version.Add(1)
	for i, w := range [plainWords]uint64{
		uint64(s.Running), uint64(s.Waiting), uint64(s.PagesHeld), uint64(s.PagesCached), uint64(s.Pages),
		s.Preemptions, s.PrefixQueries, s.PrefixHits, s.Computed, s.Sampled, s.Drafts, s.DraftTokens, s.AcceptedTokens,
	} {
		if p.words[i].Load() != w { // a store costs more
			p.words[i].Store(w)
		}
	}
	for i, w := range s.AcceptedAt {
		if p.words[plainWords+i].Load() != w {
			p.words[plainWords+i].Store(w)
		}
	}
	p.version.Add(1)
}

func (p *snapshot) read() sched.Stats {
	for {
		before := p.version.Load()
		var w [snapshotWords]uint64
		for i := range w {
			w[i] = p.words[i].Load()
		}
		if before%2 == 1 || p.version.Load() != before {
			continue
		}
		s := sched.Stats{
			Running: int(w[0]), Waiting: int(w[1]), PagesHeld: int(w[2]), PagesCached: int(w[3]), Pages: int(w[4]),
			Preemptions: w[5], PrefixQueries: w[6], PrefixHits: w[7], Computed: w[8], Sampled: w[9], Drafts: w[10], DraftTokens: w[11], AcceptedTokens: w[12],
		}
		copy(s.AcceptedAt[:], w[plainWords:])
		return s
	}
}
