package cpu

import (
	"slices"
	"testing"
	"time"

	"llmc/engine"
)

// The roof has a figure for every size and for the instructions of every target that runs here, and for no others.
func TestRoof(t *testing.T) {
	if _, err := engine.FindTarget("native"); err != nil {
		t.Skip(err)
	}
	r, err := measureRoof(1, roofSizes[:2], time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if r.Threads != 1 || len(r.Read) != 2 || !slices.IsSortedFunc(r.Read, func(a, b RoofRead) int { return int(a.Bytes - b.Bytes) }) {
		t.Fatalf("roof %+v", r)
	}
	for _, read := range r.Read {
		if read.PerSecond <= 0 {
			t.Errorf("read %+v", read)
		}
	}
	for _, p := range r.Peaks {
		if target, err := engine.FindTarget(p.Target); err != nil || len(target.Missing()) > 0 || p.PerSecond <= 0 {
			t.Errorf("peak %+v: %v", p, err)
		}
	}
	if has := slices.ContainsFunc(r.Peaks, func(p RoofPeak) bool { return p.Name == "f32 fma" && p.Target == "x86-64-v3" }); !has {
		t.Errorf("no peak of the least target in %v", r.Peaks)
	}
}
