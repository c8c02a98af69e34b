package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// namedTests are names of tests before the package that has them, as docs/reliability.md writes them: in commands, and in the table whose head has the command.
var namedTests = regexp.MustCompile("`(?:go test -run )?'?((?:(?:Test|Fuzz)\\w+(?:\\\\\\|)?)+)'? (\\./[\\w/]+)`")

// TestReliabilityPage wants every test that docs/reliability.md names to be where it says.
func TestReliabilityPage(t *testing.T) {
	root := "../.."
	text, err := os.ReadFile(filepath.Join(root, "docs", "reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	found := namedTests.FindAllStringSubmatch(string(text), -1)
	for _, m := range found {
		dir := m[2]
		if sources[dir] == "" {
			files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				source, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				sources[dir] += string(source)
			}
		}
		for _, name := range strings.Split(m[1], `\|`) {
			if !strings.Contains(sources[dir], "\nfunc "+name+"(") {
				t.Errorf("%s has no test %s", dir, name)
			}
		}
	}
	if mentions := strings.Count(string(text), "`Test") + strings.Count(string(text), "`Fuzz") + strings.Count(string(text), "go test -run ") - 1; len(found) != mentions {
		t.Errorf("%d places name tests with their package, %d name tests at all", len(found), mentions)
	}
}
