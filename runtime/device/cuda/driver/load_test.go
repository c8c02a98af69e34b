//go:build cuda

package driver

import (
	"errors"
	"testing"
	"unsafe"
)

// TestStart wants the library with all calls, or to be told that there is none.
func TestStart(t *testing.T) {
	err := Start()
	var missing *NotFound
	if errors.As(err, &missing) {
		if missing.Reason == "" {
			t.Error("no reason")
		}
		t.Skip("SKIPPED: ", missing.Reason)
	}
	t.Log("the driver answers: ", err)
	for _, name := range Unresolved() {
		t.Errorf("the driver has no %s", name)
	}
}

// TestReplaceKnowsItsCalls refuses functions that nobody calls.
func TestReplaceKnowsItsCalls(t *testing.T) {
	var function int
	if err := Replace(map[string]unsafe.Pointer{"cuNothing": unsafe.Pointer(&function)}); err == nil {
		t.Error("cuNothing was taken for a call")
	}
}
