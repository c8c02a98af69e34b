package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"llmc/internal/clitest"
	"llmc/internal/golden"
)

// llmc runs the compiler, as a user does, for adapters and what they go beside.
func llmc(t *testing.T, args ...string) {
	t.Helper()
	onCPUs(t, "adapters")
	if text, err := exec.Command("go", append([]string{"run", "llmc/cmd/llmc"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// TestAdapterFromTheCommandLine wants the tokens that transformers recorded of a model with an adapter from generate and from a server, which has it as a
// directory and as a plan, beside the model.
func TestAdapterFromTheCommandLine(t *testing.T) {
	root := filepath.Join(golden.Shared(t), "checkpoints")
	adapter := filepath.Join(root, "llama-lora")
	text, err := os.ReadFile(filepath.Join(adapter, "golden.json"))
	if err != nil {
		t.Skip(err)
	}
	var g struct {
		Prompts []struct {
			IDs      []int32
			Generate struct{ IDs []int32 }
		}
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	const tokens = 8
	prompt, want := g.Prompts[1].IDs, g.Prompts[1].Generate.IDs[:tokens]
	plan, of := filepath.Join(t.TempDir(), "base.plan"), filepath.Join(t.TempDir(), "adapter.plan")
	llmc(t, "build", filepath.Join(root, "llama-gqa"), "--quant", "f32", "--arch", "x86-64-v3", "-o", plan)
	llmc(t, "build", "--adapter", adapter, "--base", plan, "-o", of)
	list := strings.Trim(strings.ReplaceAll(fmt.Sprint(prompt), " ", ","), "[]")
	var got generatedJSON
	clitest.Run(t, "", "generate", plan, "--adapter", adapter, "--tokens", list, "--max-tokens", fmt.Sprint(tokens), "--ignore-eos", "--json").JSON(t, &got)
	if !slices.Equal(got.Tokens, want) {
		t.Errorf("generate gives %v, want %v", got.Tokens, want)
	}
	cmd := clitest.Command("serve", plan, "--adapter", "plan="+of, "--lora-modules", "dir="+adapter, "again="+adapter, "--port", "0")
	address, lines := startServer(t, cmd)
	for _, name := range []string{"plan", "dir", "base", "again"} {
		body := fmt.Sprintf(`{"model":%q,"prompt":[%s],"max_tokens":%d,"temperature":0,"ignore_eos":true,"return_token_ids":true}`, name, list, tokens)
		resp, err := http.Post(address+"/v1/completions", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		var got struct {
			Choices []struct {
				IDs []int32 `json:"token_ids"`
			}
		}
		if err != nil || json.Unmarshal(text, &got) != nil || len(got.Choices) != 1 {
			t.Fatalf("%v %s", err, text)
		}
		if same := slices.Equal(got.Choices[0].IDs, want); same != (name != "base") {
			t.Errorf("%s goes on with %v; with the adapter it is %v", name, got.Choices[0].IDs, want)
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
