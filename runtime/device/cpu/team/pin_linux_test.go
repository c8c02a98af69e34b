package team

import (
	"runtime"
	"slices"
	"testing"

	"llmc/runtime/device/cpu/numa"
)

// Each worker runs on the processors of its node while it works, and the caller wherever it could before.
func TestWorkersStayOnTheirNodes(t *testing.T) {
	cpus := numa.Allowed()
	if len(cpus) < 2 {
		t.Skip("one processor")
	}
	nodes := []numa.Node{{ID: 0, CPUs: cpus[:1]}, {ID: 0, CPUs: cpus[1:2]}}
	team := New(2, nodes)
	defer team.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range 3 {
		var seen [2][]int
		team.Run(func(worker int) { seen[worker] = numa.Allowed() })
		for w, n := range nodes {
			if !slices.Equal(seen[w], n.CPUs) {
				t.Errorf("worker %d may use %v, its node has %v", w, seen[w], n.CPUs)
			}
		}
		if now := numa.Allowed(); !slices.Equal(now, cpus) {
			t.Errorf("the caller may use %v, could use %v", now, cpus)
		}
	}
}
