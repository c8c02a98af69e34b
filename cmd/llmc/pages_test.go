package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/internal/clitest"
)

// TestPages writes the pages of a plan and of a comparison.
func TestPages(t *testing.T) {
	plan, other := buildDemo(t, "--arch", "x86-64-v3", "--quant", "bf16"), buildDemo(t, "--arch", "sm80", "--quant", "int4")
	dir := t.TempDir()
	for name, args := range map[string][]string{"plan.html": {"inspect", other}, "diff.html": {"diff", plan, other}} {
		path := filepath.Join(dir, name)
		if out := clitest.Run(t, "", append(args, "--html", path)...).Done(t); out != "" {
			t.Errorf("%s: printed %q", name, out)
		}
		page, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(page), "Content-Security-Policy") || !strings.Contains(string(page), "model.layers.2") {
			t.Errorf("%s: %d bytes, %v", name, len(page), err)
		}
	}
	var c struct {
		Layers []struct {
			Layer   string
			Changed int
			Error   float64
		}
	}
	clitest.Run(t, "", "diff", plan, other, "--json").JSON(t, &c)
	if len(c.Layers) != 5 || !(c.Layers[2].Error > 0 && c.Layers[2].Error < 0.3) || c.Layers[2].Changed == 0 {
		t.Errorf("layers %+v", c.Layers)
	}
	clitest.Run(t, "", "diff", plan, other, "--no-values", "--json").JSON(t, &c)
	clitest.Run(t, "", "diff", plan, other, "--threads", "-1").Refused(t, 2, "--threads is -1")
}
