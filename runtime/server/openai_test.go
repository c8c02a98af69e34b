package server

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"llmc/runtime"
)

// flakyBackend turns away every other request.
type flakyBackend struct {
	fakeBackend
	asked int
}

func (b *flakyBackend) Submit(ctx context.Context, r runtime.Request) (runtime.Generation, error) {
	b.mu.Lock()
	b.asked++
	refuse := b.asked%2 == 1
	b.mu.Unlock()
	if refuse {
		return nil, runtime.ErrQueueFull
	}
	return b.fakeBackend.Submit(ctx, r)
}

// The unmodified openai package for Python must get along with the server. LLMC_PYTHON names a Python that has it.
func TestOpenAIPython(t *testing.T) {
	python := os.Getenv("LLMC_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import openai").Run(); err != nil {
		t.Skipf("%s has no openai package (LLMC_PYTHON names another Python): %v", python, err)
	}
	keys, _, _ := loadTestKeys(t, "sk-test\n")
	flaky := &flakyBackend{}
	second := fakeModel("flaky", &flaky.fakeBackend)
	second.Backend = flaky
	b := &fakeBackend{}
	ts := startServer(t, b, Config{Models: []Model{fakeModel("org/tiny", b), second}, Keys: keys})
	for _, m := range ts.models.list {
		m.MaxContext = 4096
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, python, "../../testdata/clients/openai_python.py", "http://"+ts.addr+"/v1",
		"--model", "org/tiny", "--api-key", "sk-test", "--flaky", "flaky")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	t.Logf("%s", output)
	eventually(t, "nothing left running", func() bool { return b.idle() && flaky.idle() })
}
