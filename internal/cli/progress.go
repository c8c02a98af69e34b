package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sys/unix"
)

// Progress shows long work on w: a bar per task where w is a terminal, else a plain line now and then.
// The zero value shows nothing. Methods may be called from several goroutines.
type Progress struct {
	w    io.Writer
	bars *mpb.Progress
}

// Task is one piece of long work.
type Task struct {
	progress *Progress
	name     string
	total    int64
	bar      *mpb.Bar

	mu       sync.Mutex
	done     int64
	lastLine time.Time
	started  time.Time
}

const plainLineEvery = 10 * time.Second

// NewProgress returns a Progress on standard error.
func NewProgress() *Progress {
	p := &Progress{w: os.Stderr}
	if isTerminal(os.Stderr) {
		p.bars = mpb.New(mpb.WithOutput(os.Stderr), mpb.WithWidth(48), mpb.WithRefreshRate(100*time.Millisecond))
	}
	return p
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil && os.Getenv("TERM") != "dumb"
}

// Start begins a task of total units (bytes, as a rule).
func (p *Progress) Start(name string, total int64) *Task {
	t := &Task{progress: p, name: name, total: total, started: time.Now(), lastLine: time.Now()}
	if p != nil && p.bars != nil {
		t.bar = p.bars.AddBar(total,
			mpb.PrependDecorators(decor.Name(name+" ")),
			mpb.AppendDecorators(decor.Percentage(), decor.Name(" "), decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO), "done")))
	}
	return t
}

// Add reports n more units done.
func (t *Task) Add(n int64) {
	if t == nil || t.progress == nil || t.progress.w == nil {
		return
	}
	if t.bar != nil {
		t.bar.IncrInt64(n)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done += n
	if now := time.Now(); now.Sub(t.lastLine) >= plainLineEvery && t.total > 0 {
		t.lastLine = now
		fmt.Fprintf(t.progress.w, "%s: %d %%\n", t.name, 100*t.done/t.total)
	}
}

// Done ends the task.
func (t *Task) Done() {
	if t == nil || t.progress == nil || t.progress.w == nil {
		return
	}
	if t.bar != nil {
		t.bar.SetTotal(t.total, true)
		return
	}
	if d := time.Since(t.started); d >= plainLineEvery {
		fmt.Fprintf(t.progress.w, "%s: done in %.1f s\n", t.name, d.Seconds())
	}
}

// Stop ends a task that may not have been done. Nobody waits for it any more.
func (t *Task) Stop() {
	if t != nil && t.bar != nil {
		t.bar.Abort(true)
	}
}

// Wait draws the last state of all bars and returns.
func (p *Progress) Wait() {
	if p != nil && p.bars != nil {
		p.bars.Wait()
	}
}

// Say prints one line of what is being done.
func (p *Progress) Say(format string, args ...any) {
	if p == nil || p.w == nil {
		return
	}
	w := p.w
	if p.bars != nil {
		w = p.bars
	}
	fmt.Fprintf(w, format+"\n", args...)
}
