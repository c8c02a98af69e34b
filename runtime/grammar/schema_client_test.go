package grammar

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
)

//go:embed testdata/validate.py
var validateScript string

// TestClientPythonValidates has Python's jsonschema, which other servers and clients use, read what is written under schemas; make test-clients installs it.
func TestClientPythonValidates(t *testing.T) {
	python := os.Getenv("LLMC_PYTHON")
	if python == "" {
		t.Skip("LLMC_PYTHON names no interpreter; make test-clients does")
	}
	data, err := os.ReadFile("testdata/schemas.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	sources := strings.Split(strings.TrimSpace(string(data)), "\n")
	for seed := range uint64(200) {
		sources = append(sources, randomCombination(rand.New(rand.NewPCG(seed, 11)), 2))
	}
	var input bytes.Buffer
	written := 0
	r := rand.New(rand.NewPCG(1, 13))
	for _, source := range sources {
		g, err := newTest(demoVocabulary(), Source{Kind: JSONSchema, Text: source})
		if err != nil {
			continue
		}
		for range 5 {
			text, complete := write(r, g)
			if !complete {
				continue
			}
			written++
			line, err := json.Marshal(map[string]string{"schema": source, "text": string(text)})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&input, "%s\n", line)
		}
	}
	cmd := exec.Command(python, "-c", validateScript)
	cmd.Stdin = &input
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != fmt.Sprintf("%d of %d valid", written, written) || written < 500 {
		t.Errorf("%v, %d texts: %s", err, written, out)
	}
	t.Logf("%s", out)
}
