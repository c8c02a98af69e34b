package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"llmc/internal/clitest"
)

// half reads no more than the first bytes, then waits for the end.
type half struct {
	*bytes.Reader
	left    int
	reached func()
	end     chan struct{}
}

func (h *half) Read(p []byte) (int, error) {
	if h.left == 0 {
		h.reached()
		<-h.end
		return 0, io.ErrUnexpectedEOF
	}
	n, err := h.Reader.Read(p[:min(len(p), h.left)])
	h.left -= n
	return n, err
}

// A build that is killed while it downloads leaves nothing that looks whole, and the next one goes on from what came.
func TestKilledDownload(t *testing.T) {
	s, repo := startHub(t)
	weights := repo.Files["model.safetensors"]
	halfway, end := make(chan struct{}), make(chan struct{})
	reached := sync.OnceFunc(func() { close(halfway) })
	s.Before(func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		if cdn {
			http.ServeContent(w, r, "", time.Time{}, &half{Reader: bytes.NewReader(weights), left: len(weights) / 2, reached: reached, end: end})
		}
		return cdn
	})
	dir := t.TempDir()
	out := filepath.Join(dir, "killed.plan")
	cmd := clitest.Command("build", "org/demo", "-o", out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-halfway
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	close(end)
	s.Before(func(http.ResponseWriter, *http.Request, bool) bool { return false })
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	clitest.Run(t, "", "build", "org/demo", "-o", out, "--offline").Refused(t, 1, "not in the cache")
	clitest.Run(t, "", "build", "org/demo", "-o", out).Done(t)
	t.Setenv("HF_HOME", t.TempDir())
	again := filepath.Join(dir, "again.plan")
	clitest.Run(t, "", "build", "org/demo", "-o", again).Done(t)
	if !sameBytes(t, out, again) {
		t.Error("the plan differs from that of a download that was not disturbed")
	}
}

// limited runs the command where no file may have more than so many KiB: writing fails as on a full disk.
func limited(t *testing.T, kib string, args ...string) clitest.Result {
	t.Helper()
	command := clitest.Command(args...)
	// The unit of ulimit -f is 512 bytes in POSIX shells, 1024 in bash: both are too few for what the test writes, and enough for the rest.
	cmd := exec.Command("sh", append([]string{"-c", `ulimit -f "$0" && exec "$@"`, kib}, command.Args...)...)
	cmd.Env = command.Env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return clitest.Result{Args: args, Exit: cmd.ProcessState.ExitCode(), Stdout: out.String(), Stderr: errs.String()}
}

// Where the disk is full a build says so in one line and leaves what was there as it was; once there is room it does its work.
func TestFullDisk(t *testing.T) {
	startHub(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "m.plan")
	if err := os.WriteFile(out, []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, model := range []string{demo, "org/demo"} {
		limited(t, "1000", "build", model, "-o", out).Refused(t, 1, "file too large")
		if text, err := os.ReadFile(out); err != nil || string(text) != "old" {
			t.Errorf("%s: the plan of before is %.20q, %v", model, text, err)
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
			t.Errorf("%s: left behind: %v, %v", model, names, err)
		}
	}
	clitest.Run(t, "", "build", "org/demo", "-o", out).Done(t)
	clitest.Run(t, "", "verify", out).Done(t)
}
