package proc

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func script(text string) Spec { return Spec{Args: []string{"sh", "-c", text}, Limit: time.Minute} }

func begin(t *testing.T, s Spec) *Process {
	t.Helper()
	p, err := Start(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

func TestLinesAndEnd(t *testing.T) {
	s := script(`echo one; echo "$WORD"`)
	s.Env = []string{"WORD=two"}
	s.Wrap = []string{"sh", "-c", `echo waiting; "$@"; echo done`, "wrap"}
	p := begin(t, s)
	var lines []string
	for line, ok := p.Next(); ok; line, ok = p.Next() {
		lines = append(lines, line)
	}
	if strings.Join(lines, " ") != "one two done" {
		t.Errorf("lines %q", lines)
	}
	if err := p.Wait(); err != nil || p.Took() <= 0 || p.PeakBytes() <= 0 {
		t.Errorf("ended with %v after %v, %d bytes", err, p.Took(), p.PeakBytes())
	}
}

func TestFailuresSayWhy(t *testing.T) {
	p := begin(t, script(`echo what >&2; echo why >&2; exit 3`))
	if err := p.Wait(); err == nil || !strings.HasSuffix(err.Error(), "exit status 3: why") {
		t.Errorf("error %v", err)
	}
	s := script("sleep 60")
	s.Limit = 10 * time.Millisecond
	if err := begin(t, s).Wait(); err == nil || !strings.Contains(err.Error(), "ended after 10ms") {
		t.Errorf("error %v", err)
	}
	if _, err := Start(context.Background(), Spec{Wrap: []string{"false"}, Args: []string{"true"}, Limit: time.Minute}); err == nil {
		t.Error("a command that runs nothing was taken")
	}
}

// Whatever a program starts ends with it.
func TestStopEndsAll(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	p := begin(t, script(`sleep 60 & echo $! >`+file+`; echo ready; wait`))
	if line, _ := p.Next(); line != "ready" {
		t.Fatalf("line %q", line)
	}
	if p.PeakBytes() <= 0 {
		t.Error("no memory")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p.Stop()
	for range 500 {
		if stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(text)) + "/stat"); err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("what the program started still runs")
}

func TestForeign(t *testing.T) {
	for _, c := range []struct {
		busy, own, room time.Duration
		want            float64
	}{
		{time.Second, time.Second, 2 * time.Second, 0},
		{time.Second, time.Second / 2, 2 * time.Second, 0.25},
		{time.Second, time.Second - 2*tick, 2 * time.Second, 0}, // within what is known of the times
		{time.Second, 2 * time.Second, 2 * time.Second, 0},
		{3 * time.Second, 0, time.Second, 1},
		{time.Second, 0, 0, 0},
	} {
		if got := foreign(c.busy, c.own, c.room); got != c.want {
			t.Errorf("%v of which %v in %v: %v, want %v", c.busy, c.own, c.room, got, c.want)
		}
	}
}

// What a descendant does is the process's own doing, while it lives and afterwards.
func TestOwnTimeCountsDescendants(t *testing.T) {
	before := ownTime()
	if before == 0 {
		t.Skip("no /proc")
	}
	p := begin(t, script(`sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo ready; sleep 0.2'`))
	if line, _ := p.Next(); line != "ready" {
		t.Fatal(line)
	}
	alive, family := ownTime(), p.Processors()
	_ = p.Wait()
	if family < 3*tick || family > alive-before+tick {
		t.Errorf("%v of the program and its children, of %v in all", family, alive-before)
	}
	if alive < before+3*tick || ownTime() < alive-2*tick {
		t.Errorf("%v before, %v while it ran, %v afterwards", before, alive, ownTime())
	}
}

func TestParseProc(t *testing.T) {
	if got := parseBusy("cpu  10 20 30 1000 1000 1 2 3 99 99"); got != 66*tick {
		t.Errorf("busy %v", got)
	}
	s, ok := parseStat("42 (a) b) S 7 42 42 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5")
	if !ok || s.pid != 42 || s.parent != 7 || s.time != 100*tick {
		t.Errorf("stat %+v, %v", s, ok)
	}
	for _, bad := range []string{"", "1", "1 (x", "x (a) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "1 (a) S 1 2"} {
		if _, ok := parseStat(bad); ok {
			t.Errorf("%q taken", bad)
		}
	}
	tree := map[int][]stat{1: {{pid: 2}, {pid: 3}}, 3: {{pid: 4}}, 9: {{pid: 10}}}
	if all := below(tree, 1); len(all) != 3 {
		t.Errorf("below %+v", all)
	}
}
