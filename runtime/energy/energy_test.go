package energy_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"llmc/runtime/energy"
	"llmc/runtime/energy/energytest"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

// Packages and memory are counted, once, and counters that begin anew go on.
func TestCounters(t *testing.T) {
	tree := energytest.New(t)
	tree.Set("intel-rapl:0", 999_000_000)
	l, err := energy.Open(tree.Root)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := l.Account()
	a.Work(1)
	for _, zone := range []string{"intel-rapl:0:0", "intel-rapl:2", "intel-rapl-mmio:0"} {
		tree.Set(zone, 777_000_000)
	}
	tree.Set("intel-rapl:0", 499_999) // beyond the range: 1 J to the end, and half of one behind it
	tree.Set("intel-rapl:0:1", 250_000)
	tree.Set("intel-rapl:1", 2_000_000)
	if got := a.Settle(); !near(got, 1.5+.25+2) || !near(a.Joules(), got) {
		t.Errorf("%g J, %g in all", got, a.Joules())
	}
}

// What is taken between two readings is shared by time of work; what is taken while nobody works is nobody's.
func TestShares(t *testing.T) {
	tree := energytest.New(t)
	l, err := energy.Open(tree.Root)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, b := l.Account(), l.Account()
	tree.Set("intel-rapl:1", 5_000_000)
	if got := a.Settle(); got != 0 {
		t.Errorf("%g J without work", got)
	}
	a.Begin()
	a.Work(3)
	b.Begin() // while a works
	b.Work(1)
	tree.Set("intel-rapl:1", 9_000_000)
	if got := a.Settle(); !near(got, 3) {
		t.Errorf("%g J of 4", got)
	}
	b.Work(2)
	tree.Set("intel-rapl:1", 10_000_000)
	if got := b.Settle(); !near(got, 2) { // one of each reading
		t.Errorf("%g J", got)
	}
	if !near(a.Joules(), 3) || !near(b.Joules(), 2) {
		t.Errorf("%g and %g in all", a.Joules(), b.Joules())
	}
}

// An account that was closed with work that nobody settled takes nothing from the others, and does not make idle time theirs.
func TestClosedAccount(t *testing.T) {
	tree := energytest.New(t)
	l, err := energy.Open(tree.Root)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	gone, stays := l.Account(), l.Account()
	gone.Begin()
	gone.Work(3)
	gone.Close()
	tree.Set("intel-rapl:1", 5_000_000)
	stays.Begin() // nobody works any more
	stays.Work(1)
	tree.Set("intel-rapl:1", 7_000_000)
	if got := stays.Settle(); !near(got, 2) {
		t.Errorf("%g J of 2", got)
	}
	if got := gone.Joules(); got != 0 {
		t.Errorf("%g J of an account that was closed", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := energy.Open(t.TempDir()); !errors.Is(err, energy.ErrNone) {
		t.Errorf("no counters: %v", err)
	}
	for name, damage := range map[string]func(root string) error{
		"no counter": func(root string) error { return os.Remove(filepath.Join(root, "intel-rapl:1/energy_uj")) },
		"no number": func(root string) error {
			return os.WriteFile(filepath.Join(root, "intel-rapl:1/energy_uj"), []byte("much\n"), 0o644)
		},
		"no range": func(root string) error { return os.Remove(filepath.Join(root, "intel-rapl:0/max_energy_range_uj")) },
		"a range that is 0": func(root string) error {
			return os.WriteFile(filepath.Join(root, "intel-rapl:0/max_energy_range_uj"), []byte("0"), 0o644)
		},
	} {
		tree := energytest.New(t)
		if err := damage(tree.Root); err != nil {
			t.Fatal(err)
		}
		if _, err := energy.Open(tree.Root); err == nil || errors.Is(err, energy.ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWorkAllocatesNothing(t *testing.T) {
	l, err := energy.Open(energytest.New(t).Root)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := l.Account()
	if n := testing.AllocsPerRun(100, func() { a.Begin(); a.Work(1); a.Settle() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
