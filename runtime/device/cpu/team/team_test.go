package team

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Between two barriers every worker sees what all wrote before the first: a running sum over rounds, each worker adding up
// all workers' numbers of the round before.
func phases(t *testing.T, team *Team, rounds int) {
	t.Helper()
	n := team.Workers()
	cells := make([][]int, 2)
	cells[0], cells[1] = make([]int, n), make([]int, n)
	for w := range n {
		cells[0][w] = w
	}
	team.Run(func(w int) {
		for r := range rounds {
			from, to := cells[r%2], cells[(r+1)%2]
			sum := 0
			for _, v := range from {
				sum += v
			}
			to[w] = (sum + w) % 1000003
			team.Barrier(w)
		}
	})
	want := make([]int, n)
	for w := range n {
		want[w] = w
	}
	for range rounds {
		sum := 0
		for _, v := range want {
			sum += v
		}
		for w := range n {
			want[w] = (sum + w) % 1000003
		}
	}
	for w, got := range cells[rounds%2] {
		if got != want[w] {
			t.Fatalf("worker %d of %d has %d after %d rounds, want %d", w, n, got, rounds, want[w])
		}
	}
}

func TestBarrierOrdersMemory(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5} { // 3 may be more than there are processors: slow, still right
		team := start(n, nil)
		rounds := 20000
		if n > runtime.NumCPU() {
			rounds = 200
		}
		phases(t, team, rounds)
		team.Close()
	}
}

func TestOversubscribed(t *testing.T) {
	team := start(4*runtime.NumCPU(), nil)
	defer team.Close()
	phases(t, team, 50)
}

func TestNoMoreWorkersThanProcessors(t *testing.T) {
	team := New(1<<20, nil)
	defer team.Close()
	if n := team.Workers(); n > runtime.NumCPU() || n < 1 {
		t.Errorf("%d workers on %d processors", n, runtime.NumCPU())
	}
}

// patience is how long what has to come may take on a machine that others keep busy.
const patience = 20 * time.Second

// A worker that waits long at a barrier sleeps and still leaves it.
func TestSlowWorker(t *testing.T) {
	team := start(2, nil)
	defer team.Close()
	var done atomic.Int32
	team.Run(func(w int) {
		if w == 1 {
			time.Sleep(5 * time.Millisecond)
		}
		team.Barrier(w)
		done.Add(1)
	})
	if done.Load() != 2 {
		t.Errorf("%d workers passed the barrier", done.Load())
	}
}

// Several callers take turns.
func TestCallersTakeTurns(t *testing.T) {
	team := start(2, nil)
	defer team.Close()
	var inside, total int // written by worker 0 only: unguarded if regions overlapped
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for range 50 {
				team.Run(func(w int) {
					if w == 0 {
						inside++
						if inside != 1 {
							t.Error("two regions at once")
						}
						total++
						inside--
					}
				})
			}
		})
	}
	callers.Wait()
	if total != 200 {
		t.Errorf("%d regions ran", total)
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	team := start(2, nil)
	defer team.Close()
	fn := func(w int) { team.Barrier(w) }
	if n := testing.AllocsPerRun(100, func() { team.Run(fn) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCloseEndsWorkers(t *testing.T) {
	before := runtime.NumGoroutine()
	team := start(3, nil)
	team.Run(func(int) {})
	team.Close()
	team.Close()
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines are left, there were %d", n, before)
	}
	defer func() {
		if recover() == nil {
			t.Error("Run after Close did not panic")
		}
	}()
	team.Run(func(int) {})
}

func BenchmarkBarrier(b *testing.B) {
	team := New(2, nil)
	defer team.Close()
	team.Run(func(w int) {
		for range b.N {
			team.Barrier(w)
		}
	})
}

func BenchmarkRun(b *testing.B) {
	team := New(2, nil)
	defer team.Close()
	fn := func(int) {}
	for b.Loop() {
		team.Run(fn)
	}
}

// Workers that nap instead of yielding lose no wake-up, whether they find the processor crowded or not.
func TestCrowdedWorkers(t *testing.T) {
	for _, n := range []int{2, 3} {
		team := start(n, nil)
		for w := range n {
			team.passed[w].waits.naps = 1 << 30
		}
		phases(t, team, 100)
		var done atomic.Int32
		team.Run(func(w int) { // longer than naps go on for
			if w == 1 {
				time.Sleep(4 * maxNaps * time.Millisecond / 10)
			}
			team.Barrier(w)
			done.Add(1)
		})
		if done.Load() != int32(n) {
			t.Errorf("%d of %d workers passed the barrier", done.Load(), n)
		}
		team.Close()
	}
}

// Garbage can be collected while a worker naps again and again: it is asked to stop, and does.
func TestCollectionWhileNapping(t *testing.T) {
	team := start(2, nil)
	defer team.Close()
	for w := range 2 {
		team.passed[w].waits.naps = 1 << 30
	}
	team.Run(func(w int) {
		if w == 1 {
			for range 3 {
				runtime.GC()
			}
		}
		team.Barrier(w)
	})
}
