package sched

import (
	"fmt"
	"strconv"
	"strings"
)

// regimes tells which prompts may share cached keys and values, for each kind of engine.ModelInfo.RopeSalt. Rotary frequencies
// that depend on engine.Step.RopeLen = max(prompt length, position+1) make the cached content of a token depend on it.
// As long as the prompt is not longer than limit, RopeLen > limit happens at positions >= limit alone and equals position+1 there:
// the tokens decide. Longer prompts change all their positions.
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

// parseRegime returns the function that maps a prompt's length to the variant of its cached content.
func parseRegime(salt string) (func(prompt int) int64, error) {
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
		return func(prompt int) int64 { return r.of(prompt, limit) }, nil
	}
	return nil, fmt.Errorf("rope salt %q is not known; rebuild the plan or update the runtime", salt)
}
