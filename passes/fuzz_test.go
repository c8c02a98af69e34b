package passes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/ir"
)

// No valid module, however odd, makes a pass panic or leave an invalid module: `llmc opt` takes what users write.
func FuzzPasses(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for i, section := range strings.Split(string(text), "\n-- ") {
			name, body, _ := strings.Cut(section, "\n")
			if strings.HasSuffix(name, ".in --") {
				f.Add(uint8(i), body)
			}
		}
	}
	policies := []string{"", "bf16", "int8", "int4", "fp8"}
	f.Fuzz(func(t *testing.T, choice uint8, text string) {
		m, err := ir.Parse(text)
		if err != nil {
			return
		}
		opts := Options{Target: Plain{}, Check: true, Policy: Policy{Linear: policies[int(choice)%len(policies)]}}
		for _, name := range Names() {
			if _, err := RunOne(name, m.Clone(), opts); err != nil && strings.Contains(err.Error(), "property") && !strings.HasPrefix(err.Error(), "pass ") {
				t.Fatalf("%s broke its promise: %v", name, err)
			}
		}
		if _, err := Run(m, opts); err != nil && strings.HasPrefix(err.Error(), "after pass") {
			t.Fatal(err)
		}
	})
}
