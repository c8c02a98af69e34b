// Package energytest is a tree of energy counters, for tests of those who read them. It owns nothing but files in a directory of the test.
//
// It must not be used by anything else.
package energytest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Range is the greatest value of the counters, in microjoules.
const Range = 1_000_000_000

// Tree is such a tree: two packages, one with memory beside it and with zones that are parts of others.
type Tree struct {
	Root string
	t    *testing.T
}

// New makes a tree whose counters are 0.
func New(t *testing.T) *Tree {
	tree := &Tree{t.TempDir(), t}
	for zone, name := range map[string]string{
		"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram", "intel-rapl:1": "package-1", "intel-rapl:2": "psys", "intel-rapl-mmio:0": "package-0",
	} {
		if err := os.MkdirAll(filepath.Join(tree.Root, zone), 0o755); err != nil {
			t.Fatal(err)
		}
		tree.write(zone, "name", name)
		tree.write(zone, "max_energy_range_uj", fmt.Sprint(Range))
		tree.Set(zone, 0)
	}
	return tree
}

func (tree *Tree) write(zone, file, text string) {
	tree.t.Helper()
	// In place and of one length, as the kernel's files are: a reader sees one value or the other.
	f, err := os.OpenFile(filepath.Join(tree.Root, zone, file), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		tree.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(text+"\n"), 0); err != nil {
		tree.t.Fatal(err)
	}
}

// Set sets the counter of a zone, in microjoules.
func (tree *Tree) Set(zone string, microjoules int) {
	tree.t.Helper()
	text := fmt.Sprint(microjoules)
	tree.write(zone, "energy_uj", strings.Repeat("0", 12-len(text))+text)
}
