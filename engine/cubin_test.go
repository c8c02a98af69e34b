package engine

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// TestCubin wants a cubin to come back as it was written, and none that is not what a plan may hold, neither written nor read.
func TestCubin(t *testing.T) {
	p := openPlan(t, fixturePlan(t))
	c, err := p.Cubin("sm80")
	if err != nil || c.Arch != "sm_80" || c.Assembler != "12.2.140" || string(c.Image) != "\x7fELF and the rest" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := p.Cubin("sm90"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a target without cubin: %v", err)
	}
	for name, change := range map[string]func(*Cubin) (target string){
		"other text":   func(c *Cubin) string { c.PTX = SumPTX("other"); return "sm80" },
		"no text":      func(*Cubin) string { return "sm90" },
		"no ELF":       func(c *Cubin) string { c.Image = []byte("MZ"); return "sm80" },
		"no code":      func(c *Cubin) string { c.Image = []byte{}; return "sm80" },
		"no arch":      func(c *Cubin) string { c.Arch = "sm_80 "; return "sm80" },
		"no assembler": func(c *Cubin) string { c.Assembler = "new\nline"; return "sm80" },
	} {
		bad := *c
		content, err := CubinContent(change(&bad), &bad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeCubin(content.Name, content.Data, p.Header()); !errors.Is(err, ErrFormat) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: read: %v", name, err)
		}
		spec := fixtureSpec(t)
		for i := range spec.Sections {
			if spec.Sections[i].Kind == KindCubin {
				spec.Sections[i] = content
			}
		}
		if _, err := NewWriter(filepath.Join(t.TempDir(), "x.plan"), spec); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: written: %v", name, err)
		}
	}
}
