package engine

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The tests of this file run the test binary again as a process that writes a plan, to be killed or to run out of space.
const (
	childPath  = "LLMC_TEST_PLAN_PATH"
	childLimit = "LLMC_TEST_FILE_LIMIT" // bytes that a file may have
	childNamed = "LLMC_TEST_NAMED"      // use a named temporary file
)

// TestChild is not a test of its own: it is what the other tests start.
func TestChild(t *testing.T) {
	path := os.Getenv(childPath)
	if path == "" {
		t.Skip("started by other tests")
	}
	if limit, err := strconv.ParseUint(os.Getenv(childLimit), 10, 64); err == nil {
		signal.Ignore(syscall.SIGXFSZ)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			t.Fatal(err)
		}
	}
	create := createPlanFile
	if os.Getenv(childNamed) != "" {
		create = createNamed
	}
	spec := fixtureSpec(t)
	w, err := newWriter(path, spec, create)
	if err != nil {
		childFailed(err)
	}
	writeWeights(t, w, spec, 2, 1000, 1)
	fmt.Println("written")
	os.Stdin.Read(make([]byte, 1)) // until the parent kills us, or lets us go on
	if err := w.WriteLate(KindAccuracy, make([]byte, 1<<20)); err != nil {
		w.Abort()
		childFailed(err)
	}
	if _, err := w.Finish(); err != nil {
		childFailed(err)
	}
}

func childFailed(err error) {
	fmt.Println("failed:", err)
	code := 1
	if errors.Is(err, unix.EFBIG) {
		code = 3
	}
	os.Exit(code)
}

// startChild returns the running child, its first line of output, and what lets it go on after that.
func startChild(t *testing.T, env ...string) (cmd *exec.Cmd, firstLine string, goOn func() error) {
	t.Helper()
	cmd = exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), env...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	firstLine, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, firstLine, stdin.Close
}

// A build that is killed while it writes leaves no plan, and the one of that name from before as it was.
func TestKilledWriter(t *testing.T) {
	for _, named := range []string{"", "1"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "m.plan")
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd, line, _ := startChild(t, childPath+"="+path, childNamed+"="+named)
		if line != "written\n" {
			t.Fatalf("child said %q", line)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		if content, err := os.ReadFile(path); err != nil || string(content) != "old" {
			t.Errorf("the old plan is now %.20q, %v", content, err)
		}
		names := listDir(t, dir)
		if named != "" {
			// A file system without O_TMPFILE keeps a hidden file; it must not look like a plan.
			names = slices.DeleteFunc(names, func(n string) bool { return filepath.Ext(n) == ".partial" && n[0] == '.' })
		} else if file, err := openUnnamed(dir); err != nil {
			t.Logf("no unnamed files here: %v", err)
			continue
		} else {
			file.Close()
		}
		if !slices.Equal(names, []string{"m.plan"}) {
			t.Errorf("left behind: %v", names)
		}
	}
}

// A file that may not grow fails at once, before the work is done, or in a late section; it leaves nothing behind.
func TestFileSizeLimit(t *testing.T) {
	for _, c := range []struct{ limit, line string }{
		{"20000", "failed:"},
		{"200000", "written"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "m.plan")
		cmd, line, goOn := startChild(t, childPath+"="+path, childLimit+"="+c.limit)
		if line[:7] != c.line[:7] {
			t.Errorf("limit %s: child said %q", c.limit, line)
		}
		goOn()
		err := cmd.Wait()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 3 {
			t.Errorf("limit %s: child ended with %v", c.limit, err)
		}
		if names := listDir(t, dir); len(names) != 0 {
			t.Errorf("limit %s: left behind %v", c.limit, names)
		}
	}
}

// A named pipe is refused at once, not waited for; hints to the kernel do no harm.
func TestPipeAndAdvice(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o644); err != nil {
		t.Skip(err)
	}
	if _, err := Open(pipe); !errors.Is(err, ErrNotPlan) {
		t.Errorf("pipe: %v", err)
	}
	p := openPlan(t, fixturePlan(t))
	p.Advise(WillNeed)
	p.Advise(HugePages)
	if err := p.VerifyWeights(t.Context(), 1, nil); err != nil {
		t.Error(err)
	}
}
