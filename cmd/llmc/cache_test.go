package main

import (
	"path/filepath"
	"strings"
	"testing"

	"llmc/internal/cachedir"
	"llmc/internal/clitest"
)

// TestBuildsAreCached builds the same again as users do, with the cache and without, and looks at what is there now.
func TestBuildsAreCached(t *testing.T) {
	cache := t.TempDir()
	t.Setenv(cachedir.Variable, cache)
	out := filepath.Join(t.TempDir(), "x.plan")
	build := []string{"build", demo, "-o", out, "--quant", "int4", "--arch", "x86-64-v3"}
	digest := ""
	for _, c := range []struct {
		name, cached string
		variable     string
		flags        []string
	}{
		{"first", "", cache, nil}, {"again", "in place", cache, nil}, {"anew", "", cache, []string{"--no-cache"}}, {"after that", "copied", cache, nil},
		{"off", "", cachedir.Off, nil},
	} {
		t.Setenv(cachedir.Variable, c.variable)
		var report struct {
			Cached, Digest string
			Quant          string `json:"quant"`
		}
		clitest.Run(t, "", append(append(build, "--json"), c.flags...)...).JSON(t, &report)
		if report.Cached != c.cached || report.Quant == "" || digest != "" && report.Digest != digest {
			t.Errorf("%s: %+v, want %q and digest %s", c.name, report, c.cached, digest)
		}
		digest = report.Digest
	}
	t.Setenv(cachedir.Variable, cache)
	for _, want := range []string{"an earlier build of the same was copied", "it was there, built from the same"} {
		if text := clitest.Run(t, "", build...).Done(t); !strings.Contains(text, want) {
			t.Errorf("text %s lacks %q", text, want)
		}
	}
	t.Setenv(cachedir.SizeVariable, "much")
	clitest.Run(t, "", build...).Refused(t, 1, cachedir.SizeVariable)
}
