package main

import (
	"os"
	"testing"
)

// TestGeneratedFiles wants the committed files to be what the table gives.
func TestGeneratedFiles(t *testing.T) {
	for path, want := range files() {
		if got, err := os.ReadFile("../" + path); err != nil || string(got) != want {
			t.Errorf("%s is not what the table gives (%v): go generate ./runtime/device/cuda/driver", path, err)
		}
	}
}

// TestCallsAreUnique wants one row for a symbol, and one symbol for a name.
func TestCallsAreUnique(t *testing.T) {
	names := map[string]bool{}
	for _, c := range calls {
		if names[c.name()] {
			t.Errorf("%s is there twice", c.name())
		}
		names[c.name()] = true
	}
}
