package gpubench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"llmc/internal/version"
	"llmc/runtime/device/cuda"
)

// Options say what to measure.
type Options struct {
	Plans     string        // list of models in formats, or the name of one
	Out       string        // directory of the results
	Tokenizer string        // directory of a checkpoint whose tokenizer the models get
	Python    string        // with torch, or not
	CopyBytes int64         // of each array of a copy
	Budget    time.Duration // of the run: sections that have not ended by then are ended
	Limit     time.Duration // of a section
	Section   string        // the one section that this process measures, "" for a run of all
	Scratch   string        // directory for what a section builds
}

// Check refuses options that nothing can be measured with.
func (o *Options) Check() error {
	if o.CopyBytes < copyStep || o.CopyBytes > 1<<40 {
		return fmt.Errorf("--copy is %d bytes: must be within 16K..1T", o.CopyBytes)
	}
	if _, err := parseSpecs(o.Plans); err != nil {
		return fmt.Errorf("--plans: %w", err)
	}
	return nil
}

// message is a line of a section's output.
type message struct {
	Card  *Result `json:"card,omitempty"` // without sections
	Torch *Torch  `json:"torch,omitempty"`
	Row   *Row    `json:"row,omitempty"`
}

// Run measures all sections, each in a process of its own: command with arguments runs this program again. It keeps the file up to date, tells w what
// becomes known, and returns what was measured with the file's path.
func Run(ctx context.Context, o *Options, command []string, w io.Writer) (*Result, string, error) {
	specs, err := parseSpecs(o.Plans)
	if err != nil {
		return nil, "", err
	}
	names := []string{"copy", "torch"}
	for _, s := range specs {
		names = append(names, s.String())
	}
	r := &run{Options: o, specs: specs, command: command, progress: w, began: time.Now(), torch: map[Row]float64{}}
	for _, name := range names {
		if err := r.section(ctx, name); err != nil {
			return &r.result, r.path, err
		}
	}
	return &r.result, r.path, nil
}

// leastSection is the time without which no section is begun.
const leastSection = 20 * time.Second

// run is a run of all sections.
type run struct {
	*Options
	specs    []spec
	command  []string
	progress io.Writer
	began    time.Time
	result   Result
	path     string
	copyGBs  float64
	torch    map[Row]float64 // microseconds by case
}

// section measures one section. What fails is noted, and the next one begins; without a device there is nothing to go on with.
func (r *run) section(ctx context.Context, name string) error {
	begin := time.Now()
	r.result.Sections = append(r.result.Sections, Section{Name: name, Rows: []Row{}})
	s := &r.result.Sections[len(r.result.Sections)-1]
	var err error
	if left := r.Budget - time.Since(r.began); left < leastSection {
		err = fmt.Errorf("not begun: of %v %v are left", r.Budget, left.Round(time.Second))
	} else {
		err = r.process(ctx, name, min(left, r.Limit))
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if r.result.Device == "" {
		return err // there is no GPU
	}
	if s.Seconds = time.Since(begin).Seconds(); err != nil {
		s.Error = err.Error()
		fmt.Fprintf(r.progress, "%s: %v\n", name, err)
	}
	return errors.Join(r.write(), ctx.Err())
}

func (r *run) write() error {
	r.result.Goals = goals(&r.result)
	return r.result.write(r.path)
}

// process runs this program for a section and takes its rows as they come.
func (r *run) process(ctx context.Context, name string, limit time.Duration) error {
	if name == "torch" {
		limit /= 2
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dir, err := r.scratch(name)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	args := append(r.command[1:len(r.command):len(r.command)], "--section", name, "--scratch", dir)
	cmd := exec.CommandContext(ctx, r.command[0], args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what it starts ends with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	var bad error
	for lines.Scan() {
		if err := r.take(lines.Bytes()); err != nil && bad == nil {
			bad = err
		}
	}
	err = cmd.Wait()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("ended after %v", limit.Round(time.Second/10))
	case err != nil:
		return reason(said.String(), err)
	}
	return bad
}

// reason is the line of what a process said on standard error that says why it ended: its own, or where a crash begins.
func reason(said string, ended error) error {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	for _, begin := range []string{"llmc: ", "panic: ", "fatal error: ", "runtime: "} {
		for _, line := range lines {
			if strings.HasPrefix(line, begin) {
				return errors.New(strings.TrimPrefix(line, "llmc: "))
			}
		}
	}
	return fmt.Errorf("%w: %s", ended, lines[len(lines)-1])
}

// scratch makes a directory for what a section builds: in memory if there is room.
func (r *run) scratch(name string) (string, error) {
	bytes := int64(0)
	for _, s := range r.specs {
		if s.String() == name {
			bytes = s.mostBytes()
		}
	}
	return os.MkdirTemp(scratch(bytes), "gpubench")
}

// take takes a line of a section's output into the result, and the result into its file.
func (r *run) take(line []byte) error {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return fmt.Errorf("a section printed %q", line)
	}
	if m.Card != nil {
		m.Card.Sections, m.Card.Torch = r.result.Sections, r.result.Torch
		r.result = *m.Card
		if r.path == "" {
			r.path = r.result.path(r.Out)
		}
		return nil
	}
	if m.Torch != nil {
		r.result.Torch = m.Torch
		return nil
	}
	if m.Row == nil {
		return nil
	}
	row := *m.Row
	r.compare(&row)
	s := &r.result.Sections[len(r.result.Sections)-1]
	s.Rows = append(s.Rows, row)
	fmt.Fprintf(r.progress, "%s: %s\n", s.Name, row.describe())
	return r.result.write(r.path)
}

// compare relates a row to the copy and to torch, and keeps what later rows are related to.
func (r *run) compare(row *Row) {
	if row.Kind == "copy" {
		r.copyGBs = row.GBs
	}
	if kind, ok := strings.CutPrefix(row.Kind, "torch "); ok {
		c := *row
		c.Kind, c.Micros, c.GBs, c.Note = kind, 0, 0, ""
		r.torch[c] = row.Micros
	} else if us := r.torch[caseOf(row)]; us > 0 && row.Micros > 0 {
		row.OfTorch = us / row.Micros
	}
	if r.copyGBs > 0 {
		row.OfCopy = row.GBs / r.copyGBs
	}
}

// Measure measures one section, and writes what it finds to w, a line each.
func Measure(ctx context.Context, o *Options, w io.Writer) error {
	encoder := json.NewEncoder(w)
	emit := func(r Row) error { return encoder.Encode(message{Row: &r}) }
	specs, err := parseSpecs(o.Plans)
	if err != nil {
		return err
	}
	switch o.Section {
	case "copy":
		driver, err := cuda.Open()
		if err != nil {
			return err
		}
		card := driver.Card()
		if err := encoder.Encode(message{Card: &Result{Device: card.Name, Capability: card.Capability, CUDA: card.Driver.String(), Driver: driverVersion(), Memory: card.Memory,
			Date: now(), Version: version.Full(), CPUs: runtime.NumCPU()}}); err != nil {
			return err
		}
		return errors.Join(measureCopy(driver, o.CopyBytes, emit), driver.Close())
	case "torch":
		found := func(t Torch) error { return encoder.Encode(message{Torch: &t}) }
		return measureTorch(ctx, o.Python, torchCases(specs, o.CopyBytes), found, emit)
	}
	for _, s := range specs {
		if s.String() == o.Section {
			return measurePlan(ctx, s, o, emit)
		}
	}
	return fmt.Errorf("no section %q", o.Section)
}

// driverVersion is that of the kernel module, where Linux tells it.
func driverVersion() string {
	text, err := os.ReadFile(filepath.FromSlash("/proc/driver/nvidia/version"))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.Join(strings.Fields(strings.TrimPrefix(line, "NVRM version:")), " ")
}
