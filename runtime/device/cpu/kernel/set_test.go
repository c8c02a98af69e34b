package kernel_test

import (
	"slices"
	"strings"
	"testing"

	"llmc/engine"
	"llmc/runtime/device/cpu/kernel"
)

// Every CPU target has a set, in the same order, and the two agree on what this machine lacks.
func TestSetsAreTheTargets(t *testing.T) {
	var targets, sets []string
	for _, target := range engine.Targets {
		if target.Device == "cpu" {
			targets = append(targets, target.Name)
		}
	}
	for _, s := range kernel.Sets() {
		if s.Name == kernel.Generic {
			continue
		}
		sets = append(sets, s.Name)
		target, err := engine.FindTarget(s.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.Missing(), target.Missing()) {
			t.Errorf("%s: the set misses %v, the target row %v", s.Name, s.Missing(), target.Missing())
		}
	}
	if len(sets) > 0 && !slices.Equal(sets, targets) { // none on other architectures
		t.Errorf("sets %v, targets %v", sets, targets)
	}
}

func TestFind(t *testing.T) {
	if s, err := kernel.Find(kernel.Generic); err != nil || s.Name != kernel.Generic {
		t.Errorf("the generic set: %v, %v", s, err)
	}
	if _, err := kernel.Find("sm90"); err == nil || !strings.Contains(err.Error(), "generic") {
		t.Errorf("error for an unknown set: %v", err)
	}
	for _, s := range kernel.Sets() {
		_, err := kernel.Find(s.Name)
		for _, f := range s.Missing() {
			if err == nil || !strings.Contains(err.Error(), f) {
				t.Errorf("error for %s does not name %s: %v", s.Name, f, err)
			}
		}
		if len(s.Missing()) == 0 && err != nil {
			t.Error(err)
		}
	}
}
