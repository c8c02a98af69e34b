package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/internal/clitest"
)

// TestSimulate wants more servers to shorten the wait, --goal to find the fewest that do, and the same answer each time.
func TestSimulate(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "x.plan")
	clitest.Run(t, "", "build", "../../testdata/demo", "-o", plan, "--arch", "x86-64-v3,sm90", "--quant", "int4").Done(t)
	run := func(args ...string) *simulated {
		var s simulated
		clitest.Run(t, "", append([]string{"simulate", plan, "--json"}, args...)...).JSON(t, &s)
		return &s
	}
	load := []string{"--rate", "3000", "--prompt", "100", "--output", "50", "--requests", "1500", "--threads", "1", "--queue-limit", "0"}
	one, four := run(load...), run(append(load, "--servers", "4")...)
	if one.Target != "x86-64-v3" || one.Figures.OutputTokens != four.Figures.OutputTokens || one.Figures.Requests != 1500 || one.Figures.FirstToken.P99 <= 2*four.Figures.FirstToken.P99 {
		t.Errorf("one server %+v, four %+v", one.Figures, four.Figures)
	}
	goal := fmt.Sprintf("ttft_p99<=%.6fs", (one.Figures.FirstToken.P99+four.Figures.FirstToken.P99)/2)
	found := run(append(load, "--goal", goal)...)
	if n := found.Figures.Servers; n < 2 || n > 4 || len(found.Missed) > 0 || !slices.Contains(found.Tried, n-1) {
		t.Errorf("%s: %d servers, tried %v, missed %v", goal, n, found.Tried, found.Missed)
	}
	if text := clitest.Run(t, "", append([]string{"simulate", plan, "--card", "h200"}, load...)...).Done(t); !strings.Contains(text, "of sm90 on h200") {
		t.Errorf("on a card: %s", text)
	}
	trace := filepath.Join(t.TempDir(), "trace.csv")
	if err := os.WriteFile(trace, []byte("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,374,44\n2023-11-16 18:15:50.95,396,109\n2023-11-16 18:15:51.22,3000,55\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := run("--trace", trace); s.Figures.Requests != 3 || s.Figures.TooLong != 1 || s.Figures.OutputTokens != 153 || s.Figures.Seconds < 4.27 {
		t.Errorf("of a trace: %+v", s.Figures)
	}
	clitest.Run(t, "", "simulate", plan).Refused(t, 2, "give --trace FILE, or --rate")
	clitest.Run(t, "", "simulate", plan, "--rate", "1", "--goal", "x<=1s").Refused(t, 2, "ttft_p99<=500ms")
	other := filepath.Join(t.TempDir(), "y.plan")
	clitest.Run(t, "", "build", "../../testdata/demo", "-o", other, "--arch", "x86-64-v3", "--quant", "int4").Done(t)
	clitest.Run(t, "", "simulate", other, "--rate", "1", "--card", "a100").Refused(t, 1, "no program for the card a100")
	clitest.Run(t, "", "simulate", plan, "--rate", "1", "--servers", "0").Refused(t, 2, "--servers is 0")
	if r := clitest.Run(t, "", "simulate", plan, "--rate", "1e6", "--requests", "500", "--max-servers", "1", "--goal", "ttft_p50<=1us"); r.Exit != 1 || !strings.Contains(r.Stderr, "1 servers, and still ttft_p50") ||
		!strings.Contains(r.Stdout, "first token") {
		t.Errorf("a goal that can not be reached: exit %d, %s, %s", r.Exit, r.Stdout, r.Stderr)
	}
}
