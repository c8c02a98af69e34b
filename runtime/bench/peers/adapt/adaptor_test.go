package adapt

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fakePeer is an adaptor of an engine that is not there: it takes 0.25 s to the first token and 2 s for the others, tells only their sum where told to, and
// cannot do four sequences.
const fakePeer = `
import sys
from adaptor import main

def open_model(request):
    def generate(prompts, tokens):
        if len(prompts) == 4:
            raise RuntimeError("out of\nmemory")
        first, rest = 0.25, 2.0 if tokens > 1 else 0.0
        print("chatter")
        return (first, rest) if request["variant"] == "split" else (first + rest, None)
    return generate

main(open_model)
`

// The adaptors' common part tells of each case what its API's answers mean, whether that splits the time or not.
func TestAdaptor(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	for _, variant := range []string{"split", "sum"} {
		b := &Bench{Peers: t.TempDir(), Scratch: t.TempDir(), Model: "m", Threads: 1, IDs: []int32{1, 2, 3}}
		command, err := b.adaptor("none", "peer_openvino.py", Variant{Name: variant}, recorded)
		if err != nil {
			t.Fatal(err)
		}
		program := filepath.Join(b.Scratch, "fake.py")
		if err := os.WriteFile(program, []byte(fakePeer), 0o644); err != nil {
			t.Fatal(err)
		}
		text, err := exec.Command(python, program, command.Args[2]).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		var found []Found
		for line := range strings.Lines(string(text)) {
			f, err := parseAdaptor(strings.TrimSpace(line), recorded)
			if err != nil {
				t.Error(err)
			}
			for _, one := range f {
				if !one.Begin {
					found = append(found, one)
				}
			}
		}
		if len(found) != 4 || !found[0].First || found[1].Value != 512/0.25 || found[2].Value != 128/2.0 || found[3].Error != "out of memory" {
			t.Errorf("%s: found %+v", variant, found)
		}
	}
}
