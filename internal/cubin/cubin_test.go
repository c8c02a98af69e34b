package cubin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// script is a program that prints text whatever it is asked.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ptxas")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+text+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind(t *testing.T) {
	for _, name := range []string{"CUDA_HOME", "CUDA_PATH", Variable, "PATH"} {
		t.Setenv(name, "")
	}
	if installed() == "" {
		if _, err := Find(""); err == nil || !strings.Contains(err.Error(), "--ptxas PATH") || strings.Contains(err.Error(), "\n") {
			t.Errorf("no ptxas: %v", err)
		}
	}
	good := script(t, "Cuda compilation tools, release 12.2, V12.2.140")
	if _, err := Find(good + ".none"); err == nil || !strings.Contains(err.Error(), good+".none is not a ptxas that runs") {
		t.Errorf("no such file: %v", err)
	}
	if _, err := Find(script(t, "hello")); err == nil || !strings.Contains(err.Error(), "no release") {
		t.Errorf("another program: %v", err)
	}
	t.Setenv(Variable, good+string(os.PathListSeparator)+script(t, "release 13.5, V13.5.37"))
	all, err := Find("")
	if err != nil || len(all) != 2 || all[0].Build != "12.2.140" || all[0].Version != 82 || all[1].Version != 95 {
		t.Errorf("%+v, %v", all, err)
	}
	const text = ".version 8.4\n.target sm_89\n"
	if a, err := Choose(all, text); err != nil || a.Release != "13.5" {
		t.Errorf("chose %+v, %v", a, err)
	}
	if _, err := Choose(all[:1], text); err == nil || !strings.Contains(err.Error(), "of CUDA 12.2 reads PTX up to 8.2, the code for sm_89 is PTX 8.4") {
		t.Errorf("too old: %v", err)
	}
	if _, err := Choose(all, "nothing"); err == nil {
		t.Error("text without a head is assembled")
	}
}

func TestNewestPTX(t *testing.T) {
	for _, c := range []struct{ major, minor, want int }{{11, 8, 78}, {12, 0, 80}, {12, 2, 82}, {12, 5, 85}, {12, 6, 85}, {12, 9, 88}, {13, 0, 90}, {13, 5, 95}} {
		if got := newestPTX(c.major, c.minor); got != c.want {
			t.Errorf("CUDA %d.%d reads PTX up to %d, want %d", c.major, c.minor, got, c.want)
		}
	}
}
