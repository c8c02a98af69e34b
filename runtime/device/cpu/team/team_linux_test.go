package team

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Every worker runs, each on a thread of its own.
func TestWorkersOwnThreads(t *testing.T) {
	team := start(3, nil)
	defer team.Close()
	team.Run(team.Barrier) // by now each has its thread
	ids := make([]int, 3)
	team.Run(func(w int) {
		ids[w] = unix.Gettid()
		team.Barrier(w)
	})
	if ids[0] == ids[1] || ids[1] == ids[2] || ids[0] == ids[2] || ids[1]*ids[2] == 0 {
		t.Errorf("workers ran on threads %v", ids)
	}
}

// A team that has nothing to do sleeps: after the spinning is over it uses no processor time to speak of.
func TestIdleTeamUsesNoProcessor(t *testing.T) {
	team := start(2, nil)
	defer team.Close()
	team.Run(func(int) {})
	for end := time.Now().Add(patience); team.regions.sleepers.Load() != 1 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	} // until the spinning is over, which a busy machine draws out
	before := cpuTime(t)
	time.Sleep(300 * time.Millisecond)
	if used := cpuTime(t) - before; used > 100*time.Millisecond {
		t.Errorf("an idle team used %v of processor time in 300ms", used)
	}
	if sleepers := team.regions.sleepers.Load(); sleepers != 1 {
		t.Errorf("%d workers sleep, want 1", sleepers)
	}
	phases(t, team, 10) // and wakes
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
