package cli_test

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"llmc/internal/cli"
)

func hello(w io.Writer) error {
	_, err := io.WriteString(w, "hello")
	return err
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	for range 2 { // the second time there is one
		if err := cli.WriteFile(path, hello); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := cli.WriteFile(path, func(w io.Writer) error { _ = hello(w); return io.ErrShortWrite }); err == nil {
		t.Error("a report that could not be written is said to be")
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A device or a pipe must not be replaced by a file, which whoever may write to its directory could do.
func TestWriteFileIntoAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		text, _ := os.ReadFile(path)
		got <- string(text)
	}()
	if err := cli.WriteFile(path, hello); err != nil {
		t.Fatal(err)
	}
	if text := <-got; text != "hello" {
		t.Errorf("the reader of the pipe got %q", text)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("the pipe has become %v, %v", info.Mode(), err)
	}
}
