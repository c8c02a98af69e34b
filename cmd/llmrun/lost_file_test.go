package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"llmc/internal/clitest"
)

// A plan that is shortened while it is served ends the server with one line that says so, not with a dump: requests get an error, whichever reads the
// missing weights first, a step or the check of hashes.
func TestAShortenedPlanEndsTheServer(t *testing.T) {
	if os.Getenv(buildArch) != "" {
		t.Skip("weights are on the device")
	}
	for _, c := range []struct{ verify, model, path, body, want string }{
		{"off", "", "/v1/completions", `{"prompt":"a","max_tokens":9}`, "can no longer be read: the file was shortened"},
		{"off", "qwen3-embedding", "/v1/embeddings", `{"input":"a"}`, "can no longer be read: the file was shortened"},
		{"background", "", "", "", "plan can not be read"},
	} {
		build := buildDemo
		if c.model != "" {
			build = buildShared
		}
		plan := build(t, c.model)
		cmd := clitest.Command("serve", plan, "--port", "0", "--verify", c.verify)
		address, lines := startServer(t, cmd)
		info, err := os.Stat(plan)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(plan, info.Size()/2); err != nil {
			t.Fatal(err)
		}
		if c.path != "" {
			resp, err := http.Post(address+c.path, "application/json", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != 500 {
				t.Errorf("%s: %d %s, %v", c.path, resp.StatusCode, text, err)
			}
		}
		said, dumped := false, false
		for lines.Scan() {
			said = said || strings.Contains(lines.Text(), c.want) && strings.Contains(lines.Text(), plan)
			dumped = dumped || strings.Contains(lines.Text(), "goroutine ")
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 || !said || dumped {
			t.Errorf("%s %s: exit code %d, said why: %v, dumped: %v", c.verify, c.model, cmd.ProcessState.ExitCode(), said, dumped)
		}
	}
}

// A plan that another takes the place of by a rename is served to its end: the file that was mapped is still there.
func TestARenamedPlanChangesNothing(t *testing.T) {
	plan, other := buildDemo(t, ""), buildDemo(t, "checkpoints/qwen3-v5")
	address, _ := startServer(t, clitest.Command("serve", plan, "--port", "0"))
	ask := func() string {
		resp, err := http.Post(address+"/v1/completions", "application/json", strings.NewReader(`{"prompt":"Once upon a time","max_tokens":20,"temperature":0}`))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%d %s, %v", resp.StatusCode, text, err)
		}
		_, text, _ = bytes.Cut(text, []byte(`"choices"`))
		return string(text)
	}
	before := ask()
	if err := os.Rename(other, plan); err != nil {
		t.Fatal(err)
	}
	if after := ask(); after != before {
		t.Errorf("%s, before %s", after, before)
	}
}
