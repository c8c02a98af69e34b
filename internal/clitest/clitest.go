// Package clitest runs the commands as processes in tests, as a user would: exit codes, standard output and standard error apart.
package clitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"llmc/internal/cachedir"
)

// asCommand tells the test binary to be the command itself.
const asCommand = "LLMC_TEST_AS_COMMAND"

// Main is the body of a TestMain: the test binary runs the tests, or, started by Command, the command.
func Main(m *testing.M, command func()) {
	if os.Getenv(asCommand) != "" {
		command()
		return
	}
	if os.Getenv(cachedir.Variable) == "" { // what users have cached is not for tests to use, nor to add to
		os.Setenv(cachedir.Variable, cachedir.Off)
	}
	os.Exit(m.Run())
}

// Command returns the command with arguments, not yet started.
func Command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1", "TERM=dumb")
	return cmd
}

// Result is how a command ended.
type Result struct {
	Args           []string
	Exit           int
	Stdout, Stderr string
}

// Run runs the command with a standard input.
func Run(t testing.TB, stdin string, args ...string) Result {
	t.Helper()
	cmd := Command(args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return Result{args, cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// Done requires that the command did its work and returns what it printed.
func (r Result) Done(t testing.TB) string {
	t.Helper()
	if r.Exit != 0 {
		t.Fatalf("%q: exit %d: %s", r.Args, r.Exit, r.Stderr)
	}
	return r.Stdout
}

// JSON requires that the command did its work and printed one line of JSON.
func (r Result) JSON(t testing.TB, v any) {
	t.Helper()
	out := r.Done(t)
	if strings.Count(out, "\n") != 1 || !strings.HasSuffix(out, "\n") {
		t.Fatalf("%q: not one line: %q", r.Args, out)
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatalf("%q: %v in %q", r.Args, err, out)
	}
}

// Refused requires an exit code, nothing on standard output, and one line of error with all pieces; wrong usage has a second line that
// names the help.
func (r Result) Refused(t testing.TB, exit int, pieces ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(r.Stderr, "\n"), "\n")
	wanted := 1
	if exit == 2 {
		wanted = 2
	}
	if r.Exit != exit || r.Stdout != "" || len(lines) != wanted {
		t.Errorf("%q: exit %d, want %d; %d bytes of output; %d lines of error: %s", r.Args, r.Exit, exit, len(r.Stdout), len(lines), r.Stderr)
	}
	for _, piece := range pieces {
		if !strings.Contains(lines[0], piece) {
			t.Errorf("%q: %q lacks %q", r.Args, lines[0], piece)
		}
	}
}
