package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"llmc/runtime/bench/peers/adapt"
	"llmc/runtime/bench/peers/load"
	"llmc/runtime/bench/peers/proc"
)

// Python modules in place of OpenVINO's: a pipeline that makes a token for each request in each step, two for a prompt of three tokens, and wants to be told
// when a request's client has gone.
var fakeOpenVINO = map[string]string{
	"numpy.py":    "int64 = None\ndef array(values, dtype):\n    return values\n",
	"openvino.py": "def Tensor(values):\n    return values\n",
	"openvino_genai.py": `
import time

class SchedulerConfig: pass
class GenerationConfig: pass
class Output: pass

class Handle:
    def __init__(self, prompt, config):
        self.prompt, self.left, self.made = prompt, config.max_new_tokens, []
    def can_read(self):
        return bool(self.made)
    def read(self):
        output = Output()
        output.generated_ids, self.made = self.made, []
        return {0: output}
    def stop(self):
        self.left = 0

class ContinuousBatchingPipeline:
    def __init__(self, model, scheduler, device, properties):
        assert (model, scheduler.max_num_seqs, properties["INFERENCE_NUM_THREADS"]) == ("model", 3, 2)
        self.handles = []
    def get_tokenizer(self):
        return self
    def decode(self, ids):
        return "t%d" % ids[0]
    def add_request(self, number, prompt, config):
        assert config.min_new_tokens == config.max_new_tokens and config.ignore_eos and len(prompt) == 1
        self.handles.append(Handle(prompt[0], config))
        return self.handles[-1]
    def step(self):
        time.sleep(0.002)
        self.handles = [h for h in self.handles if h.left > 0]
        for h in self.handles:
            for _ in range(min(h.left, 2 if len(h.prompt) == 3 else 1)):
                h.left -= 1
                h.made.append(h.left)
`,
}

// The server around OpenVINO's pipeline streams each token when it is made, to several clients at once, and outlives clients that go.
func TestServerAroundOpenVINO(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	for name, text := range fakeOpenVINO {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(adapt.Peers, func(p adapt.Peer) bool { return p.Name == "OpenVINO" })
	b := &adapt.Bench{Peers: dir, Scratch: dir, Threads: 2}
	command, err := adapt.Peers[i].Serve(b, adapt.Variant{Path: "model"}, adapt.Serving{Port: port, Slots: 3, Context: 64})
	if err != nil {
		t.Fatal(err)
	}
	command.Args[0], command.Args[2] = python, "model"
	p, err := proc.Start(t.Context(), proc.Spec{Args: command.Args, Env: append(command.Env, "PYTHONPATH="+dir), Limit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	s := &load.Server{URL: "http://127.0.0.1:" + strconv.Itoa(port), Model: "m"}
	if _, err := s.Ready(t.Context(), load.Request{Prompt: []int32{1}, Tokens: 1}); err != nil {
		t.Fatal(err, p.Said())
	}
	gone, leave := context.WithCancel(t.Context())
	if _, err := s.Stream(gone, load.Request{Prompt: []int32{1}, Tokens: 1000}, func(*load.Answer) { leave() }); err == nil {
		t.Error("a stream that was left has ended")
	}
	a, err := s.Stream(t.Context(), load.Request{Prompt: []int32{1, 2, 3}, Tokens: 9}, nil)
	if err != nil || a.Tokens != 9 || len(a.Events) != 9 {
		t.Fatalf("answer %+v, %v%s", a, err, p.Said())
	}
	r, err := load.Level{Clients: 3, Requests: 2, Prompt: 4, Tokens: 20}.Run(t.Context(), s, load.NewPrompts([]int32{1, 2, 3, 4, 5}))
	if err != nil || len(r.First) != 6 || len(r.Between) != 6*19 {
		t.Errorf("level %+v, %v%s", r, err, p.Said())
	}
}
