package main

import (
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
