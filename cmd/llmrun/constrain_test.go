package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"llmc/internal/clitest"
)

// TestGenerateUnderConstraints wants what the flags describe.
func TestGenerateUnderConstraints(t *testing.T) {
	plan, dir := buildDemo(t, ""), t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	schema := file("schema.json", `{"type":"object","properties":{"a":{"type":"integer","maximum":9,"minimum":0}},"required":["a"]}`)
	rules := file("rules.gbnf", `root ::= "<" [a-c]{2,3} ">"`)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--json-schema", schema}, `^\{\s*"a":\s*[0-9]\s*\}$`},
		{[]string{"--grammar", rules}, `^<[a-c]{2,3}>$`},
		{[]string{"--regex", "(x|y){4}"}, `^(x|y){4}$`},
		{[]string{"--choice", "red", "--choice", "green"}, `^(red|green)$`},
	} {
		var got generatedJSON
		clitest.Run(t, "", append([]string{"generate", plan, "--prompt", "Hello", "--json", "--threads", "1"}, c.args...)...).JSON(t, &got)
		if !regexp.MustCompile(c.want).MatchString(got.Text) {
			t.Errorf("%v: %q", c.args, got.Text)
		}
	}
}
