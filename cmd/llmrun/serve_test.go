package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"llmc/engine"
	"llmc/internal/clitest"
)

// TestADamagedPlanEndsTheServer wants weights to be checked while the server runs, and a wrong one to end it.
func TestADamagedPlanEndsTheServer(t *testing.T) {
	plan := buildDemo(t, "")
	damage(t, plan)
	cmd := clitest.Command("serve", plan, "--port", "0")
	_, lines := startServer(t, cmd)
	said := false
	for lines.Scan() {
		said = said || strings.Contains(lines.Text(), "plan is damaged")
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 || !said {
		t.Errorf("exit code %d, said why: %v", cmd.ProcessState.ExitCode(), said)
	}
}

// damage changes a byte of a plan's last weight.
func damage(t *testing.T, path string) {
	t.Helper()
	plan, err := engine.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	weights := plan.Weights()
	_, data, err := plan.Weight(weights[len(weights)-1].Name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(file, data)
	if err := plan.Close(); err != nil || at < 0 {
		t.Fatal(at, err)
	}
	file[at] ^= 1
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestServeRefusesNegativeTimes(t *testing.T) {
	for _, flag := range []string{"--queue-timeout", "--shutdown-timeout"} {
		clitest.Run(t, "", "serve", "none.plan", flag, "-1s").Refused(t, 2, flag+" is -1s")
	}
}
