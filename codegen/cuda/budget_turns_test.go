//go:build !kit

package cuda_test

import (
	"hash/fnv"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"llmc/internal/ptxas"
)

var moduleVersion = regexp.MustCompile(`\.version (\d)\.(\d)`)

// version is the PTX version that the entry needs, as assemblers have theirs.
func (e *entry) version(t *testing.T) int {
	t.Helper()
	m := moduleVersion.FindStringSubmatch(e.head)
	if m == nil {
		t.Fatalf("no version in %q", e.head)
	}
	version, _ := strconv.Atoi(m[1] + m[2])
	return version
}

// turnOf is which of n releases of ptxas assembles a class for a target where not all do: another one for the next target, so that each release has
// about as many classes of each target, and most classes on some target. It does not depend on what other classes there are.
func turnOf(target, class string, n int) int {
	h := fnv.New32a()
	h.Write([]byte(class))
	return (int(h.Sum32()%uint32(n)) + slices.Index(budgetTargets, target)) % n
}

// of leaves the entries that the n-th assembler takes: all of them, or those whose turn it is. What that one is too old for the last takes.
func (all *entriesOf) of(t *testing.T, target string, n int, assemblers []ptxas.Assembler) *entriesOf {
	t.Helper()
	if every() {
		return all
	}
	some := &entriesOf{arch: all.arch}
	for _, e := range all.list {
		turn := turnOf(target, e.class, len(assemblers))
		if e.version(t) > assemblers[turn].Version {
			turn = len(assemblers) - 1
		}
		if turn == n {
			some.list = append(some.list, e)
		}
	}
	return some
}
