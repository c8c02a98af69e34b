package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/internal/clitest"
)

// TestRebuild builds plans again on another number of threads, from a copy of the checkpoint elsewhere, and wants the same bytes, or to be told what differs.
func TestRebuild(t *testing.T) {
	model := filepath.Join("..", "..", "testdata", "demo")
	elsewhere := filepath.Join(t.TempDir(), "a copy")
	if err := os.CopyFS(elsewhere, os.DirFS(model)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"codes":  {"--arch", "x86-64-v3", "--quant", "int4", "--override", "*.down_proj.weight=int8", "--kv-dtype", "int8", "--disable", "fuse-qkv", "--rotate", "none", "--threads", "3"},
		"random": {"--arch", "x86-64-v4,sm90", "--weights", "random:7", "--threads", "1"},
	} {
		plan := filepath.Join(dir, name+".plan")
		clitest.Run(t, "", append([]string{"build", model, "-o", plan}, args...)...).Done(t)
		if out := clitest.Run(t, "", "verify", plan, "--rebuild", elsewhere, "--threads", "2").Done(t); !strings.Contains(out, "ok: built again, the same") {
			t.Errorf("%s: %q", name, out)
		}
	}
	plan := filepath.Join(dir, "codes.plan")
	clitest.Run(t, "", "verify", plan, "--rebuild", elsewhere, "--calib", "default").Refused(t, 1, "built without a calibration")
	clitest.Run(t, "", "verify", plan, "--rebuild", elsewhere, "--against", elsewhere).Refused(t, 2, "two checks")
	config := filepath.Join(elsewhere, "generation_config.json")
	if err := os.WriteFile(config, []byte(`{"temperature": 0.25}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := clitest.Run(t, "", "verify", plan, "--rebuild", elsewhere, "--json")
	if r.Exit != 1 || !strings.Contains(r.Stdout, `"same":false`) || !strings.Contains(r.Stderr, "section info") || !strings.Contains(r.Stderr, "another checkpoint or a changed plan") {
		t.Errorf("exit %d, %s, %s", r.Exit, r.Stdout, r.Stderr)
	}
}
