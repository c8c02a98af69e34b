package main

import (
	"os"
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
	build := exec.Command("go", "build", "-o", dir+"/", "./cmd/llmc", "./cmd/llmrun")
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out := filepath.Join(dir, "samples.jsonl")
	page := clitest.Run(t, "", "--peers", filepath.Join(dir, "nobody"), "--bin", dir, "--out", out, "--model", filepath.Join(root, "testdata", "demo"),
		"--text", filepath.Join(root, "docs", "decisions.md"), "--formats", "int8", "--rounds", "2", "--retries", "0", "--threads", "1",
		"--what", "build,size,decode,start,stream,perplexity", "--batches", "1,2", "--clients", "1,2", "--wrap", "nice -n 1").Done(t)
	file, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	samples, err := sample.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	figures := map[string]sample.Figure{}
	for _, f := range sample.Summarize(samples, 1) {
		if f.Peer != sample.Own || f.Model != "demo" || f.Format != "int8" || f.Failed != "" || f.Median <= 0 {
			t.Errorf("figure %+v", f)
		}
		figures[f.Metric] = f
	}
	for metric, want := range map[string]int{"decode": 2, "start": 2, "memory": 2, "stream": 2, "first_p50": 2, "between_p99": 2, "start_server": 2, "memory_server": 2,
		"build": 2, "file": 1, "bits": 1, "ppl": 1} {
		if figures[metric].Samples != want {
			t.Errorf("%s: %d samples, want %d", metric, figures[metric].Samples, want)
		}
	}
	for _, want := range []string{"## demo, int8", "decode, 2 together", "2 streaming clients", "of the bandwidth"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
}
