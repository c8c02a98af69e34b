package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/internal/clitest"
)

// askWatched looks at a server's figures and asks it for some tokens: a processor then tells of the time of its kernels.
func askWatched(t *testing.T, address string) {
	t.Helper()
	type figures struct {
		Models []struct {
			Totals  map[string]float64
			Kernels []struct {
				Kernel  string
				Seconds float64
			}
		}
	}
	look := func() (f figures) {
		resp, err := http.Get(address + "/stats/data")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&f); err != nil || len(f.Models) != 1 {
			t.Fatalf("%+v, %v", f, err)
		}
		return f
	}
	look()
	resp, err := http.Post(address+"/v1/completions", "application/json", strings.NewReader(`{"prompt":"Hello","max_tokens":3,"ignore_eos":true}`))
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
	m := look().Models[0]
	if m.Totals["output_tokens"] != 3 {
		t.Errorf("%+v", m)
	}
	seconds := 0.
	for _, k := range m.Kernels {
		seconds += k.Seconds
	}
	if seconds <= 0 && os.Getenv(buildArch) == "" {
		t.Errorf("no time by kernel: %+v", m)
	}
}

// checkRequestLog wants the line of the request of askWatched.
func checkRequestLog(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	var line struct {
		Model  string
		Status int
		Output int `json:"output_tokens"`
	}
	if err != nil || strings.Count(string(text), "\n") != 1 {
		t.Fatalf("%q, %v", text, err)
	}
	if err := json.Unmarshal(text, &line); err != nil || line.Model != "demo" || line.Status != 200 || line.Output != 3 {
		t.Errorf("%+v of %s, %v", line, text, err)
	}
}

// What is wrong with how a server is to tell of itself is said before a plan is looked at.
func TestTellingIsRefused(t *testing.T) {
	const plan = "there-is-none.plan"
	for _, c := range []struct {
		exit int
		args []string
		want string
	}{
		{2, []string{"--stall-timeout", "0s"}, "--stall-timeout is 0s: must be above 0"},
		{2, []string{"--request-log-prompts"}, "--request-log-prompts needs --request-log"},
		{1, []string{"--request-log", filepath.Join(t.TempDir(), "none", "x")}, "request log: open"},
	} {
		clitest.Run(t, "", append([]string{"serve", plan}, c.args...)...).Refused(t, c.exit, c.want)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")
	clitest.Run(t, "", "serve", plan).Refused(t, 2, "is no http or https URL")
}
