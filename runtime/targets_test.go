package runtime

import (
	"slices"
	"testing"

	"llmc/engine"
)

// TestTargets wants the best target of this processor first, and what an H200 runs of the emulator.
func TestTargets(t *testing.T) {
	native, err := engine.FindTarget("native")
	if err != nil {
		t.Skip(err)
	}
	got, err := Targets("cpu")
	if err != nil || got[0] != native.Name || got[len(got)-1] != "x86-64-v3" {
		t.Errorf("cpu: %v, %v; native is %s", got, err, native.Name)
	}
	if got, err := Targets("emu"); err != nil || !slices.Equal(got, []string{"sm90", "sm89", "sm80"}) {
		t.Errorf("emu: %v, %v", got, err)
	}
	if got, err := Targets("auto"); err != nil || !slices.Contains(got, native.Name) {
		t.Errorf("auto: %v, %v", got, err)
	}
	if _, err := Targets("tpu"); err == nil {
		t.Error("unknown device accepted")
	}
}
