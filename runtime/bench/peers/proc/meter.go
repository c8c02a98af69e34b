package proc

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of processor times in /proc: USER_HZ, which is 100 on all architectures that there are.
const tick = 10 * time.Millisecond

// Meter tells what part of the machine others took since Mark: what all processors did, without what this process and its descendants did.
type Meter struct {
	busy, own time.Duration
	at        time.Time
}

// Mark begins a measurement.
func (m *Meter) Mark() { m.busy, m.own, m.at = busyTime(), ownTime(), time.Now() }

// Foreign returns the part since Mark, 0 to 1. A system without /proc has none.
func (m *Meter) Foreign() float64 {
	room := time.Since(m.at) * time.Duration(runtime.NumCPU())
	return foreign(busyTime()-m.busy, ownTime()-m.own, room)
}

func foreign(busy, own, room time.Duration) float64 {
	if room <= 0 || busy <= own+2*tick { // times are known to a tick
		return 0
	}
	return min(1, float64(busy-own)/float64(room))
}

// busyTime is what all processors have done since the system started, and what a hypervisor kept from them.
func busyTime() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return parseBusy(string(line))
}

// parseBusy adds up a line such as "cpu user nice system idle iowait irq softirq steal ...", all but idle and iowait.
func parseBusy(line string) time.Duration {
	var sum time.Duration
	fields := strings.Fields(line)
	for i, f := range fields[:min(9, len(fields))] {
		if n, err := strconv.ParseInt(f, 10, 64); err == nil && i != 4 && i != 5 {
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

// ownTime is what this process, those that it has waited for and its living descendants have done.
func ownTime() time.Duration {
	sum := time.Duration(0)
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	for _, s := range descendants(os.Getpid()) {
		sum += s.time
	}
	return sum
}

// stat is what is of use in /proc/PID/stat.
type stat struct {
	pid, parent int
	time        time.Duration // of the process and of those that it has waited for
}

// parseStat reads such a file. The second field is the program's name in parentheses, and may hold anything.
func parseStat(text string) (s stat, ok bool) {
	head, _, found := strings.Cut(text, " ")
	end := strings.LastIndexByte(text, ')')
	if !found || end < 0 {
		return s, false
	}
	fields := strings.Fields(text[end+1:]) // state, parent, ...
	if len(fields) < 15 {
		return s, false
	}
	pid, err := strconv.Atoi(head)
	parent, err2 := strconv.Atoi(fields[1])
	if err != nil || err2 != nil {
		return s, false
	}
	s.pid, s.parent = pid, parent
	for _, f := range fields[11:15] { // user and system time, and the same of children
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return s, false
		}
		s.time += time.Duration(n) * tick
	}
	return s, true
}

// familyTime is what a process, those that it has waited for and its living descendants have done.
func familyTime(pid int) time.Duration {
	sum := time.Duration(0)
	if text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		s, _ := parseStat(string(text))
		sum = s.time
	}
	for _, s := range descendants(pid) {
		sum += s.time
	}
	return sum
}

// descendants returns the living processes below pid.
func descendants(pid int) []stat {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]stat{}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		if s, ok := parseStat(string(text)); ok {
			children[s.parent] = append(children[s.parent], s)
		}
	}
	return below(children, pid)
}

func below(children map[int][]stat, pid int) []stat {
	var all []stat
	for todo := []int{pid}; len(todo) > 0; todo = todo[1:] {
		for _, s := range children[todo[0]] {
			all, todo = append(all, s), append(todo, s.pid)
		}
	}
	return all
}

// peakBytes is the most memory that the process had, 0 if that cannot be told.
func peakBytes(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[0], 10, 64)
	return n << 10
}
