package sched

import (
	"fmt"
	"strconv"
	"strings"

	"llmc/runtime/kv"
)

// regime tells which sequences may share cached keys and values: it maps a prompt's length to the variant of its cached content. Rotary
// frequencies that depend on engine.Step.RopeLen make the cached content of a token depend on it. A sequence that grows into another
// variant is computed anew from its first token on, as if all of it had been the prompt.
type regime func(length int) int64

// regimes has a row for each kind of engine.ModelInfo.RopeSalt. As long as the prompt is not longer than limit, RopeLen > limit happens
// at positions >= limit alone and equals position+1 there: the tokens decide. Longer prompts change all their positions.
var regimes = []struct {
	prefix string
	of     func(prompt, limit int) int64
}{
	{"longrope:", func(prompt, limit int) int64 { // all long prompts use the same frequencies
		if prompt > limit {
			return 1
		}
		return 0
	}},
	{"dynamic:", func(prompt, limit int) int64 { // every long prompt has its own
		if prompt > limit {
			return int64(prompt)
		}
		return 0
	}},
}

// parseRegime returns the regime of a model.
func parseRegime(salt string) (regime, error) {
	if salt == "" {
		return func(int) int64 { return 0 }, nil
	}
	for _, r := range regimes {
		rest, ok := strings.CutPrefix(salt, r.prefix)
		if !ok {
			continue
		}
		limit, err := strconv.Atoi(rest)
		if err != nil || limit < 0 {
			break
		}
		return func(length int) int64 { return r.of(length, limit) }, nil
	}
	return nil, fmt.Errorf("rope salt %q is not known; rebuild the plan or update the runtime", salt)
}

// change starts a sequence anew if its last token has brought it into another variant of its cached content.
func (s *Scheduler) change(q *Sequence) {
	if s.regime(len(q.tokens)) == s.regime(q.ropeLen) {
		return
	}
	s.pool.Release(&q.table)
	q.reborn()
	q.ropeLen, q.computed, q.made, q.again = len(q.tokens), 0, 0, true
	s.initTable(q)
}

// initTable gives a sequence an empty page table for what it has and will have next.
func (s *Scheduler) initTable(q *Sequence) {
	room := min(q.limit, len(q.tokens)+growth)
	q.table.Init(kv.Key{Salt: q.request.Salt, Variant: s.regime(q.ropeLen), Adapter: q.request.Adapter.Serial}, s.pool.PagesFor(room))
}
