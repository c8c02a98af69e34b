// Package proc runs the programs that are compared: each in a process group of its own, maybe behind a command that waits for a quiet machine, with the
// time it began, its lines, its memory, and what other processes took of the machine meanwhile.
package proc

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Spec says what to run.
type Spec struct {
	Wrap  []string // a command in front of it, with its arguments
	Args  []string
	Env   []string      // beside this process's own
	Limit time.Duration // from when it begins, which the command in front of it may put off
}

// begun is the line that is printed before the program begins.
const begun = "PEER BEGUN"

const (
	longestLine = 4 << 20 // an answer of a program
	keptOfError = 4 << 10
	stopWithin  = 20 * time.Second
)

// Process is a program that has begun.
type Process struct {
	Begun time.Time
	Meter Meter // marked when it began
	cmd   *exec.Cmd
	lines *bufio.Scanner
	tail  Tail
	timer *time.Timer
	once  sync.Once
	done  chan struct{} // closed when it has ended; err, ended and peak hold then
	err   error
	ended time.Time
	peak  int64
}

// Start returns when the program has begun.
func Start(ctx context.Context, s Spec) (*Process, error) {
	args := slices.Concat(s.Wrap, []string{"sh", "-c", `echo "$0"; exec env "$@"`, begun}, s.Env, s.Args)
	p := &Process{cmd: exec.CommandContext(ctx, args[0], args[1:]...), done: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what it starts ends with it
	p.cmd.Cancel = func() error { return p.signal(syscall.SIGKILL) }
	p.cmd.WaitDelay = time.Second
	p.cmd.Stderr = &p.tail
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.lines = bufio.NewScanner(out)
	p.lines.Buffer(nil, longestLine)
	for {
		line, ok := p.Next()
		if !ok {
			if err := p.Wait(); err != nil {
				return nil, err
			}
			return nil, fmt.Errorf("%s has not run its arguments", args[0])
		}
		if line == begun {
			break
		}
	}
	p.Begun = time.Now()
	p.Meter.Mark()
	p.timer = time.AfterFunc(s.Limit, func() {
		fmt.Fprintf(&p.tail, "\nended after %v", s.Limit)
		_ = p.signal(syscall.SIGKILL)
	})
	return p, nil
}

// Next returns the next line that the program prints, false when there is none.
func (p *Process) Next() (string, bool) {
	if !p.lines.Scan() {
		return "", false
	}
	return p.lines.Text(), true
}

// Wait waits until the program has ended.
func (p *Process) Wait() error {
	p.once.Do(func() {
		for p.lines.Scan() {
		}
		err := p.cmd.Wait()
		p.ended = time.Now()
		if p.timer != nil {
			p.timer.Stop()
		}
		if err != nil {
			p.err = fmt.Errorf("%w%s", err, p.tail.last())
		}
		if u, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			p.peak = u.Maxrss << 10
		}
		close(p.done)
	})
	return p.err
}

// Took is the time from the beginning to the end of a program that has been waited for.
func (p *Process) Took() time.Duration { return p.ended.Sub(p.Begun) }

// Stop asks the program to end, ends it if it does not, and waits. What it says then is of no interest.
func (p *Process) Stop() {
	_ = p.signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopWithin, func() { _ = p.signal(syscall.SIGKILL) })
	defer kill.Stop()
	_ = p.Wait()
}

// Said returns the end of what the program has written as errors.
func (p *Process) Said() string { return p.tail.last() }

func (p *Process) signal(s syscall.Signal) error { return syscall.Kill(-p.cmd.Process.Pid, s) }

// PeakBytes is the most memory that the program had: while it runs of all its processes together, afterwards of the largest.
func (p *Process) PeakBytes() int64 {
	select {
	case <-p.done:
		return p.peak
	default:
	}
	sum := peakBytes(p.cmd.Process.Pid)
	for _, s := range descendants(p.cmd.Process.Pid) {
		sum += peakBytes(s.pid)
	}
	return sum
}

// Processors is what the program and all that it has started took of processors so far, while it runs.
func (p *Process) Processors() time.Duration { return familyTime(p.cmd.Process.Pid) }

// Tail keeps the end of what is written.
type Tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if cut := len(t.text) - keptOfError; cut > 0 {
		t.text = append(t.text[:0], t.text[cut:]...)
	}
	return len(p), nil
}

// Last returns the last line with text in it.
func (t *Tail) Last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return LastLine(t.text)
}

// last is Last after a colon, if there is a line.
func (t *Tail) last() string {
	if line := t.Last(); line != "" {
		return ": " + line
	}
	return ""
}

// LastLine returns the last line with text in it.
func LastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
