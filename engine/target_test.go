package engine

import (
	"slices"
	"strings"
	"testing"
)

func TestTargetsGrow(t *testing.T) {
	for i, target := range Targets {
		for _, f := range target.Features {
			if hostFeature[f] == nil {
				t.Errorf("%s: feature %s is never detected", target.Name, f)
			}
			if i+1 < len(Targets) && Targets[i+1].Device == target.Device && !slices.Contains(Targets[i+1].Features, f) {
				t.Errorf("%s lacks %s of the row before it", Targets[i+1].Name, f)
			}
		}
	}
}

func TestFindTarget(t *testing.T) {
	for _, target := range Targets {
		if got, err := FindTarget(target.Name); err != nil || got.Name != target.Name {
			t.Errorf("FindTarget(%q) = %v, %v", target.Name, got.Name, err)
		}
	}
	if _, err := FindTarget("x86-64-v5"); err == nil || !strings.Contains(err.Error(), "x86-64-v4-bf16") {
		t.Errorf("unknown target: %v does not list the known ones", err)
	}
	if native, err := FindTarget("native"); err == nil && len(native.Missing()) != 0 {
		t.Errorf("native resolved to %s, which lacks %v", native.Name, native.Missing())
	}
}
