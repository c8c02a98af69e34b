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

// fakeScorer knows what the tokens are: each follows the last one by one.
const fakeScorer = `
from adaptor import main

def open_scorer(request):
    def score(ids, first):
        assert ids == list(range(ids[0], ids[0] + 4)) and ids[0] % 4 == 0 and first == 2, (ids, first)
        return [-1.0 - ids[0] / 4] * 2
    return score

main(None, open_scorer)
`

// Windows follow each other, the second half of each is scored, and what is left of the text is not.
func TestAdaptorOfPerplexity(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	for windows, want := range map[int]string{1: `PEER {"loss": 2.0, "tokens": 2}`, 2: `PEER {"loss": 6.0, "tokens": 4}`, 9: `PEER {"loss": 12.0, "tokens": 6}`} {
		b := &Bench{Peers: t.TempDir(), Scratch: t.TempDir(), Model: "m", Threads: 1}
		r := b.request(Variant{})
		r.Window, r.Windows = 4, windows
		for i := range int32(15) {
			r.IDs = append(r.IDs, i)
		}
		command, err := b.runAdaptor("none", "peer_vllm.py", r)
		if err != nil {
			t.Fatal(err)
		}
		program := filepath.Join(b.Scratch, "fake.py")
		if err := os.WriteFile(program, []byte(fakeScorer), 0o644); err != nil {
			t.Fatal(err)
		}
		if text, err := exec.Command(python, program, command.Args[2]).CombinedOutput(); err != nil || strings.TrimSpace(string(text)) != want {
			t.Errorf("%d windows: %s, %v, want %s", windows, text, err, want)
		}
	}
}

// What follows has the probabilities that a softmax gives, whatever the size of the logits.
func TestLogProbabilities(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil || exec.Command(python, "-c", "import numpy").Run() != nil {
		t.Skip("no python3 with numpy")
	}
	program := `import sys; sys.path.insert(0, "python"); from adaptor import log_probabilities
print([round(float(p), 6) for p in log_probabilities([[0, 0, 0, 0], [1000, 1000, -1000, -1000], [0, 1.0986122886681098, 0, 0]], [2, 0, 1])])`
	text, err := exec.Command(python, "-B", "-c", program).CombinedOutput()
	if want := "[-1.386294, -0.693147, -0.693147]"; err != nil || strings.TrimSpace(string(text)) != want {
		t.Errorf("%s, %v, want %s", text, err, want)
	}
}
