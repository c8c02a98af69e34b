package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"llmc/internal/clitest"
)

// completed returns the ids that a server goes on with.
func completed(t *testing.T, address, prompt string) string {
	t.Helper()
	resp, err := http.Post(address+"/v1/completions", "application/json", strings.NewReader(fmt.Sprintf(`{"prompt":%q,"max_tokens":16,"temperature":0,"ignore_eos":true,"return_token_ids":true}`, prompt)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct {
		Choices []struct {
			IDs []int32 `json:"token_ids"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || len(body.Choices) != 1 || len(body.Choices[0].IDs) != 16 {
		t.Fatalf("%s: %v, %+v", resp.Status, err, body)
	}
	return fmt.Sprint(body.Choices[0].IDs)
}

// metric returns a line of the metrics.
func metric(t *testing.T, address, name string) string {
	t.Helper()
	resp, err := http.Get(address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, name) {
			return strings.TrimSpace(strings.TrimPrefix(line, name))
		}
	}
	return ""
}

// TestPrefillOfAnotherProcess has a process compute prompts of another one, which goes on alone when the first is killed.
func TestPrefillOfAnotherProcess(t *testing.T) {
	plan := buildDemo(t, "")
	elsewhere := clitest.Command("serve", plan, "--port", "0", "--serve-prefill")
	far, _ := startServer(t, elsewhere)
	here := clitest.Command("serve", plan, "--port", "0", "--prefill-url", far, "--prefill-min-tokens", "100")
	near, _ := startServer(t, here)
	prompt := func(i int) string { return strings.Repeat(fmt.Sprintf("What is %d plus 2? ", i), 40) }
	for i := range 2 {
		if got, want := completed(t, near, prompt(i)), completed(t, far, prompt(i)); got != want {
			t.Errorf("prompt %d: %s, there %s", i, got, want)
		}
	}
	if n := metric(t, near, "llmrun_remote_prefill_taken_total"); n != "2" {
		t.Errorf("%q prompts came from the other process", n)
	}
	want := completed(t, far, prompt(3))
	if err := elsewhere.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = elsewhere.Wait()
	if got := completed(t, near, prompt(3)); got != want {
		t.Errorf("alone: %s, want %s", got, want)
	}
	if n := metric(t, near, "llmrun_remote_prefill_failed_total"); n != "1" {
		t.Errorf("%q prompts failed to come", n)
	}
}

func TestOtherServersThatAreRefused(t *testing.T) {
	plan := buildDemo(t, "")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{plan, "--prefill-url", "10.0.0.1:80"}, "must be http://HOST:PORT"},
		{[]string{plan, "--prefill-url", "https://x:1", "--prefill-ca-file", plan + ".none"}, "ca_file"},
		{[]string{plan, "--prefill-timeout", "1s"}, "--prefill-timeout needs --prefill-url"},
		{[]string{plan, "--prefill-url", "http://x:1", "--prefill-min-tokens", "0"}, "--prefill-min-tokens is 0"},
		{[]string{plan, "--kv-events-topic", "t"}, "--kv-events-topic needs --kv-events"},
		{[]string{plan, "--kv-events", "5557"}, "must be tcp://*:PORT or tcp://HOST:PORT"},
		{[]string{plan, plan + "2", "--kv-events", "tcp://*:0"}, "--kv-events tells of the cache of one plan"},
	} {
		clitest.Run(t, "", append([]string{"serve"}, c.args...)...).Refused(t, 2, c.want)
	}
}
