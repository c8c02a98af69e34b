package jit_test

import (
	"os"
	"path/filepath"
	"testing"

	"llmc/runtime/device/cuda/jit"
)

// TestKeep wants the driver's variables to say what was asked for, and not to say something else than the user does.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	below := filepath.Join(dir, "jit")
	for _, c := range []struct {
		name string
		off  bool
		set  map[string]string
		want [3]string // disable, path, size
	}{
		{"nothing", false, nil, [3]string{"", "", "1073741824"}},
		{"a directory", false, map[string]string{jit.Environment: dir}, [3]string{"", below, "1073741824"}},
		{"the user's own", false, map[string]string{jit.Environment: dir, "CUDA_CACHE_PATH": "/x", "CUDA_CACHE_MAXSIZE": "5"}, [3]string{"", "/x", "5"}},
		{"off", false, map[string]string{jit.Environment: jit.Off}, [3]string{"1", "", ""}},
		{"off by a flag", true, map[string]string{jit.Environment: dir, "CUDA_CACHE_DISABLE": "0"}, [3]string{"1", "", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			names := []string{"CUDA_CACHE_DISABLE", "CUDA_CACHE_PATH", "CUDA_CACHE_MAXSIZE"}
			for _, name := range append(names, jit.Environment) {
				t.Setenv(name, "") // so that it is as before behind the test
				os.Unsetenv(name)
			}
			for name, value := range c.set {
				os.Setenv(name, value)
			}
			if err := jit.Keep(c.off); err != nil {
				t.Fatal(err)
			}
			for i, name := range names {
				if got := os.Getenv(name); got != c.want[i] {
					t.Errorf("%s is %q, want %q", name, got, c.want[i])
				}
			}
		})
	}
	if info, err := os.Stat(below); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	t.Setenv(jit.Environment, filepath.Join(below, "file"))
	if err := os.WriteFile(filepath.Join(below, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := jit.Keep(false); err == nil {
		t.Error("a file was taken for a directory")
	}
}
