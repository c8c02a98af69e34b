package server

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"llmc/runtime/encode"
	"llmc/runtime/metrics"
)

// patientEncoder takes texts of any length, as encoders do that cut them.
type patientEncoder struct{ fakeEncoder }

func (e *patientEncoder) Encode(ctx context.Context, inputs []encode.Input) (rows [][]float32, err error) {
	for _, in := range inputs {
		in.IDs = in.IDs[:min(len(in.IDs), 40)]
		row, err := e.fakeEncoder.Encode(ctx, []encode.Input{in})
		if err != nil {
			return nil, err
		}
		rows = append(rows, row...)
	}
	return rows, nil
}

// Schemathesis, which makes requests of the server's own OpenAPI document, finds nothing that the document does not say. LLMC_CLIENTS_PYTHON names a Python that has it.
func TestClientsSchemathesis(t *testing.T) {
	python := os.Getenv("LLMC_CLIENTS_PYTHON")
	if python == "" || exec.Command(python, "-c", "import schemathesis").Run() != nil {
		t.Skip("no schemathesis: LLMC_CLIENTS_PYTHON names a Python that has it")
	}
	keys, _, _ := loadTestKeys(t, "sk-test\n")
	b := &fakeBackend{}
	encoder := fakeModel("encoder", nil)
	encoder.Backend, encoder.Chat, encoder.Encoder = nil, nil, &patientEncoder{fakeEncoder{gives: "embedding"}}
	ts := startServer(t, b, Config{Models: []Model{fakeModel("tiny", b), encoder}, Keys: keys, Metrics: metrics.New(), Version: "1.2.3"})
	for _, m := range ts.models.list {
		m.MaxContext = 1 << 40 // how much fits is no matter of schemas
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	output, err := exec.CommandContext(ctx, python, "../../testdata/clients/schemathesis_run.py", "http://"+ts.addr, "sk-test", t.TempDir()).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	t.Logf("%s", output)
	eventually(t, "nothing left running", b.idle)
}
