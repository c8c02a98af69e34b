package server

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Unmodified clients of other servers must get along with this one. LLMC_PYTHON names a Python that has them.
func TestClientsPython(t *testing.T) {
	python := os.Getenv("LLMC_PYTHON")
	if python == "" {
		python = "python3"
	}
	for _, c := range []struct{ name, module, script string }{
		{"tritonclient", "tritonclient.http", "tritonclient_python.py"}, {"huggingface_hub", "huggingface_hub", "tgi_python.py"},
		{"tritonclient over gRPC", "tritonclient.grpc", "tritonclient_grpc.py"}, {"tritonclient of an ensemble", "tritonclient.grpc", "tritonclient_ensemble.py"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := exec.Command(python, "-c", "import "+c.module).Run(); err != nil {
				t.Skipf("%s has no %s (LLMC_PYTHON names another Python): %v", python, c.module, err)
			}
			b := &fakeBackend{}
			var ts *testServer
			if c.script == "tritonclient_ensemble.py" {
				b = repeating()
				ts = startNodes(t, b, Config{})
			} else {
				ts = startServer(t, b, Config{})
			}
			ts.models.list[0].MaxContext = 4096
			over := startGRPC(t, ts).Target()
			arguments := map[string][]string{"tritonclient": {ts.addr, "--model", "tiny"}, "huggingface_hub": {"http://" + ts.addr},
				"tritonclient over gRPC": {over, "--model", "tiny"}, "tritonclient of an ensemble": {ts.addr, over}}[c.name]
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			output, err := exec.CommandContext(ctx, python, append([]string{"../../testdata/clients/" + c.script}, arguments...)...).CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, output)
			}
			eventually(t, "nothing left running", b.idle)
		})
	}
}
