package runtime

import (
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"llmc/engine"
	"llmc/runtime/energy"
	"llmc/runtime/energy/energytest"
)

// The energy of steps is shared by tokens among the requests that had a part in them, and nothing is lost or counted twice: a step takes ten joules here,
// and a second.
func TestEnergyIsShared(t *testing.T) {
	bothWays(t, func(t *testing.T, newEcho func() *echo) {
		synctest.Test(t, func(t *testing.T) {
			tree := energytest.New(t)
			ledger, err := energy.Open(tree.Root)
			if err != nil {
				t.Fatal(err)
			}
			defer ledger.Close()
			m := newEcho()
			m.limits.MaxSequences = 2
			var steps atomic.Int64
			m.before = func(int, *engine.Step, []engine.Sampled) error {
				time.Sleep(time.Second)
				n := steps.Add(1)
				tree.Set("intel-rapl:0", int(n)*10_000_000)
				return nil
			}
			e := start(t, m, Options{Energy: ledger})
			tree.Set("intel-rapl:0", 0)
			short, long := scriptText("ab"), scriptText("abcdef")
			short.Stop = []string{"ab"} // which the scheduler does not know
			a, b := submit(t, e, short), submit(t, e, long)
			read(t, a)
			read(t, b)
			synctest.Wait()
			first, second := a.Usage().Joules, b.Usage().Joules
			all := float64(steps.Load() * 10)
			if first <= 0 || second <= first || math.Abs(first+second-all) > 1e-6 && !m.ahead || first+second > all+1e-6 {
				t.Errorf("%g and %g of %g", first, second, all)
			}
			if got := e.Stats().Joules; math.Abs(got-all) > 1e-6 && !m.ahead {
				t.Errorf("%g of %g in all", got, all)
			}
			// What is taken while nothing is to do belongs to nobody.
			n := steps.Add(50)
			tree.Set("intel-rapl:0", int(n)*10_000_000)
			c := submit(t, e, scriptText("x"))
			before := steps.Load()
			read(t, c)
			synctest.Wait()
			if got, want := c.Usage().Joules, float64(steps.Load()-before)*10; math.Abs(got-want) > 1e-6 && !m.ahead || got > want+1e-6 {
				t.Errorf("%g J of %g after a pause", got, want)
			}
		})
	})
}

func TestEnergyIsAbsent(t *testing.T) {
	e := start(t, newEcho(), Options{})
	g := submit(t, e, scriptText("x"))
	read(t, g)
	if g.Usage().Joules != 0 || e.Stats().Joules >= 0 {
		t.Errorf("%g, %g", g.Usage().Joules, e.Stats().Joules)
	}
}
