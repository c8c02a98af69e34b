package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"llmc/internal/clitest"
	"llmc/internal/golden"
	"llmc/runtime/bench/peers/sample"
)

// A whole run of this project alone, over the bundled model: plans are built, programs and servers run, samples written, tables printed.
func TestWholeRun(t *testing.T) {
	root, dir := golden.Root(t), t.TempDir()
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", dir+"/", "./cmd/llmc", "./cmd/llmrun")
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out := filepath.Join(dir, "samples")
	part := func(what ...string) string {
		args := []string{"--peers", filepath.Join(dir, "nobody"), "--bin", dir, "--samples", out, "--model", filepath.Join(root, "testdata", "demo"),
			"--text", filepath.Join(root, "docs", "decisions.md"), "--formats", "int8", "--own", "int8", "--retries", "0", "--threads", "1",
			"--batches", "1,2", "--clients", "1,2", "--wrap", "nice -n 1", "--windows", "2", "--streams", "2", "--what"}
		return clitest.Run(t, "", append(args, what...)...).Done(t)
	}
	part("size,decode", "--rounds", "1")
	page := part("build,size,decode,start,stream,perplexity,host", "--rounds", "2") // goes on with the first
	all, err := sample.ReadAll(out)
	if err != nil || len(all.About) != 2 {
		t.Fatalf("%d parts, %v", len(all.About), err)
	}
	figures := map[string]sample.Figure{}
	for _, f := range sample.Summarize(all.Samples, 1) {
		if f.Peer != sample.Own || f.Model != "demo" || f.Format != "int8" || f.Failed != "" || f.Median <= 0 {
			t.Errorf("figure %+v", f)
		}
		figures[f.Metric] = f
	}
	for metric, want := range map[string]int{"decode": 2, "start": 2, "memory": 2, "stream": 2, "first_p50": 2, "between_p99": 2, "start_server": 2, "memory_server": 2, "host_token": 2, "host_stream": 2,
		"build": 2, "file": 1, "bits": 1, "ppl": 1} {
		if figures[metric].Samples != want {
			t.Errorf("%s: %d samples, want %d", metric, figures[metric].Samples, want)
		}
	}
	for _, want := range []string{"## demo\n", "## demo, int8", "decode, 2 together", "2 streaming clients", "of the bandwidth"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
}
