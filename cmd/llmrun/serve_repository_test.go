package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"llmc/internal/clitest"
)

func TestRepositoryRefusals(t *testing.T) {
	plan := buildDemo(t, "")
	for _, c := range []struct {
		exit int
		args []string
		want string
	}{
		{1, []string{"serve", plan, "--model-repository", plan + ".none"}, "no such file"},
		{2, []string{"serve", plan, "--model-control-mode", "explicit"}, "needs --model-repository"},
		{2, []string{"serve", "--model-repository", "d", "--model-control-mode", "magic"}, "must be one of none, explicit, poll"},
		{2, []string{"serve", "--model-repository", "d", "--load-model", "m"}, "--load-model is for --model-control-mode explicit"},
		{2, []string{"serve", "--model-repository", "d", "--repository-poll-secs", "0"}, "--repository-poll-secs is 0"},
		{2, []string{"serve", plan, "--max-queue-delay", "2h"}, "--max-queue-delay is 2h0m0s"},
		{2, []string{"serve", "--model-repository", "d", "--max-models", "-1"}, "--max-models is -1"},
		{2, []string{"serve", "--model-repository", "d", "--draft", plan}, "a repository has many"},
	} {
		clitest.Run(t, "", c.args...).Refused(t, c.exit, c.want)
	}
}

// toldConfig is an ensemble of one step.
const toldConfig = `platform: "ensemble" input { name: "beginning" data_type: TYPE_STRING dims: 1 } output { name: "tale" data_type: TYPE_STRING dims: -1 }
	ensemble_scheduling { step { model_name: "tale" model_version: -1 input_map { key: "text_input" value: "beginning" } output_map { key: "text_output" value: "tale" } } }`

// writeRepository writes a model that generates, an ensemble over it, and a file of keys.
func writeRepository(t *testing.T, dir, plan, keys string) {
	t.Helper()
	home := filepath.Join(dir, "models", "tale")
	told := filepath.Join(dir, "models", "told")
	for _, err := range []error{
		os.MkdirAll(told, 0o700), os.WriteFile(filepath.Join(told, "config.pbtxt"), []byte(toldConfig), 0o600),
		os.MkdirAll(filepath.Join(home, "1"), 0o700), os.Symlink(plan, filepath.Join(home, "1", "model.plan")), os.WriteFile(keys, []byte("sk-one\n"), 0o600),
		os.WriteFile(filepath.Join(home, "config.pbtxt"), []byte(`max_batch_size: 4 input { name: "text_input" data_type: TYPE_STRING dims: -1 }`), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestClientsServeARepository serves a plan and a repository over both protocols, has a model come and go, and drains. With tritonclient, that does it over gRPC.
func TestClientsServeARepository(t *testing.T) {
	plan, dir := buildDemo(t, ""), t.TempDir()
	keys := filepath.Join(dir, "keys")
	writeRepository(t, dir, plan, keys)
	cmd := clitest.Command("serve", plan, "--model-repository", filepath.Join(dir, "models"), "--model-control-mode", "explicit", "--load-model", "tale",
		"--kv-memory", "96M", "--port", "0", "--grpc-port", "0", "--api-key-file", keys)
	address, lines := startServer(t, cmd)
	lines.Scan()
	grpcAddress, ok := strings.CutPrefix(lines.Text(), "grpc: ")
	if !ok {
		t.Fatalf("second line %q", lines.Text())
	}
	do := func(method, path, body string, want int) {
		t.Helper()
		req, err := http.NewRequest(method, address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer sk-one")
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != want {
			t.Fatalf("%s %s: %v %v", method, path, resp, err)
		}
		resp.Body.Close()
	}
	const complete = `{"model":"tale","prompt":"Once","max_tokens":2}`
	do("POST", "/v1/completions", complete, 200)
	do("POST", "/v2/repository/models/tale/unload", "", 200)
	do("POST", "/v1/completions", complete, 404)
	do("POST", "/v2/repository/models/demo/unload", "", 400) // the command line names it
	do("POST", "/v2/repository/models/tale/load", "", 200)
	do("POST", "/v1/completions", complete, 200)
	do("POST", "/v2/models/told/generate", `{"beginning":"Once"}`, 404)
	do("POST", "/v2/repository/models/told/load", "", 200)
	do("POST", "/v2/models/told/generate", `{"beginning":"Once"}`, 200)
	http.DefaultClient.CloseIdleConnections()
	if python := os.Getenv("LLMC_PYTHON"); python != "" {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		args := []string{"../../testdata/clients/tritonclient_grpc.py", grpcAddress, "--model", "demo", "--key", "sk-one", "--repository-model", "tale"}
		if output, err := exec.CommandContext(ctx, python, args...).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}
