package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"llmc/compiler/hub/hubtest"
	"llmc/internal/clitest"
	"llmc/internal/golden"
)

// startHub starts a Hub that has the bundled model as org/demo, and makes it the commands' own.
func startHub(t *testing.T) (*hubtest.Server, *hubtest.Repo) {
	t.Helper()
	repo := &hubtest.Repo{Commit: hubtest.Commit("main"), Commits: map[string]string{"v1": hubtest.Commit("v1")}, Files: hubtest.Directory(t, demo)}
	s := hubtest.Start(t, map[string]*hubtest.Repo{"org/demo": repo})
	s.LargeBytes = 100_000
	useHub(t, s)
	return s, repo
}

// useHub makes a Hub the commands' own, with an empty cache.
func useHub(t *testing.T, s *hubtest.Server) {
	t.Helper()
	for name, value := range map[string]string{"HF_ENDPOINT": s.Hub.URL, "HF_HOME": t.TempDir(), "HF_HUB_CACHE": "", "HUGGINGFACE_HUB_CACHE": "", "HF_TOKEN": "",
		"HUGGING_FACE_HUB_TOKEN": "", "HF_TOKEN_PATH": "", "HF_HUB_OFFLINE": "", "TRANSFORMERS_OFFLINE": ""} {
		t.Setenv(name, value)
	}
}

type provenance struct {
	Provenance struct{ Model, Revision string }
}

func TestBuildFromTheHub(t *testing.T) {
	s, repo := startHub(t)
	dir := t.TempDir()
	build := func(name, model string, flags ...string) string {
		t.Helper()
		out := filepath.Join(dir, name)
		r := clitest.Run(t, "", append([]string{"build", model, "-o", out}, flags...)...)
		r.Done(t)
		if r.Stderr != "" {
			t.Errorf("%s: not quiet: %s", name, r.Stderr)
		}
		return out
	}
	main, tagged := build("main.plan", "org/demo"), build("v1.plan", "org/demo@v1")
	for plan, commit := range map[string]string{main: repo.Commit, tagged: repo.Commits["v1"]} {
		var p provenance
		clitest.Run(t, "", "inspect", plan, "--json").JSON(t, &p)
		if p.Provenance.Model != "org/demo" || p.Provenance.Revision != commit {
			t.Errorf("%s: %+v", plan, p)
		}
		if text := clitest.Run(t, "", "inspect", plan).Done(t); !strings.Contains(text, "org/demo of the Hub, commit "+commit) {
			t.Errorf("the record is not shown: %s", text)
		}
	}
	// A directory goes before the Hub, and makes the same plan but for the record.
	var p provenance
	local := build("local.plan", demo)
	clitest.Run(t, "", "inspect", local, "--json").JSON(t, &p)
	if p.Provenance.Model != "" {
		t.Errorf("%+v", p)
	}
	again := filepath.Join(dir, "again.plan")
	clitest.Run(t, "", "refit", local, "org/demo@main", "-o", again).Done(t)
	if !sameBytes(t, main, again) {
		t.Error("refit from the Hub differs from the build")
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("A short text is a window of its own length."), 0o666); err != nil {
		t.Fatal(err)
	}
	// Compared is with the commit that the plan was built from: the branch may have gone on.
	repo.Commit = hubtest.Commit("later")
	clitest.Run(t, "", "verify", main, "--against", "org/demo").Done(t)
	clitest.Run(t, "", "eval", main, "--text", text, "--against", "org/demo", "--json").Done(t)
	s.Forget()
	if !sameBytes(t, main, build("offline.plan", "org/demo", "--offline")) {
		t.Error("the same commit gave another plan offline")
	}
	build("random.plan", "org/demo", "--offline", "--weights", "random:1")
	if n := len(s.Seen()); n != 0 {
		t.Errorf("%d requests offline", n)
	}
}

func sameBytes(t *testing.T, a, b string) bool {
	t.Helper()
	one, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(one, two)
}

// A process that is killed while it downloads leaves its lock and what came to the next one; two at once do not hurt each other.
func TestBuildsAtOnce(t *testing.T) {
	s, repo := startHub(t)
	var once atomic.Bool
	asked, gone := make(chan struct{}), make(chan struct{})
	weights := hubtest.SHA256(repo.Files["model.safetensors"])
	s.Before(func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		if cdn && strings.Contains(r.URL.Path, weights) && once.CompareAndSwap(false, true) {
			w.Header().Set("Content-Length", "1000000000")
			close(asked)
			<-gone
			return true
		}
		return false
	})
	dir := t.TempDir()
	killed := clitest.Command("build", "org/demo", "-o", filepath.Join(dir, "killed.plan"))
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	_ = killed.Process.Kill()
	_ = killed.Wait()
	close(gone)
	done := make(chan clitest.Result)
	for _, name := range []string{"a", "b"} {
		go func() { done <- clitest.Run(t, "", "build", "org/demo", "-o", filepath.Join(dir, name)) }()
	}
	for range 2 {
		(<-done).Done(t)
	}
	if !sameBytes(t, filepath.Join(dir, "a"), filepath.Join(dir, "b")) {
		t.Error("plans differ")
	}
	whole := 0
	for _, seen := range s.Seen() {
		if seen.CDN && strings.Contains(seen.Path, weights) {
			whole++
		}
	}
	if whole != 2 {
		t.Errorf("the weights were downloaded %d times, not once for the killed process and once for the others", whole)
	}
}

// An adapter comes from the Hub as its base does, and what was merged is recorded.
func TestAdapterFromTheHub(t *testing.T) {
	root := filepath.Join(golden.Shared(t), "checkpoints")
	if _, err := os.Stat(filepath.Join(root, "llama-lora")); err != nil {
		t.Skip(err)
	}
	base := &hubtest.Repo{Commit: hubtest.Commit("base"), Files: hubtest.Directory(t, filepath.Join(root, "llama-gqa"))}
	adapter := &hubtest.Repo{Commit: hubtest.Commit("adapter"), Files: hubtest.Directory(t, filepath.Join(root, "llama-lora"))}
	useHub(t, hubtest.Start(t, map[string]*hubtest.Repo{"org/base": base, "org/adapter": adapter, "org/pickle": {Commit: base.Commit,
		Files: map[string][]byte{"adapter_config.json": []byte("{}"), "adapter_model.bin": []byte("x")}}}))
	dir := t.TempDir()
	plan, again := filepath.Join(dir, "x.plan"), filepath.Join(dir, "again.plan")
	clitest.Run(t, "", "build", "org/base", "--lora", "org/adapter", "-o", plan).Done(t)
	clitest.Run(t, "", "build", "org/base", "--lora", "org/adapter@"+adapter.Commit, "--offline", "-o", again).Done(t)
	if !sameBytes(t, plan, again) {
		t.Error("the same commits gave another plan")
	}
	if text := clitest.Run(t, "", "inspect", plan).Done(t); !strings.Contains(text, "lora = org/adapter@"+adapter.Commit) {
		t.Errorf("the adapter is not shown: %s", text)
	}
	clitest.Run(t, "", "verify", plan, "--against", "org/base", "--lora", "org/adapter").Done(t)
	refusal{1, []string{"build", "org/base", "--lora", "org/pickle", "-o", plan}, "org/pickle: adapter_model.bin: not a format that is read: it is a pickle"}.check(t)
	refusal{1, []string{"build", "org/base", "--lora", demo, "-o", plan}, "adapter ../../testdata/demo: adapter_config.json: is missing"}.check(t)
	refusal{1, []string{"build", "org/adapter", "-o", plan}, "it is a LoRA adapter without its base model"}.check(t)
}

func TestHubRefusals(t *testing.T) {
	_, repo := startHub(t)
	out := filepath.Join(t.TempDir(), "x.plan")
	for _, c := range []refusal{
		{1, []string{"build", "org/none", "-o", out}, "org/none: 127.0.0.1:"},
		{1, []string{"build", "org/demo@v2", "-o", out}, "org/demo: has no revision v2"},
		{1, []string{"build", "org/demo", "--offline", "-o", out}, "org/demo: revision main is not in the cache"},
		{2, []string{"build", "org/demo@../x", "-o", out}, "org/demo: ../x is no revision"},
		{2, []string{"build", "org/de--mo", "-o", out}, "org/de--mo is no name of a repository"},
		{1, []string{"build", "missing", "-o", out}, "a model of the Hub is given as org/name"},
	} {
		c.check(t)
	}
	repo.Files["pytorch_model.bin"] = []byte("pickle")
	delete(repo.Files, "model.safetensors")
	refusal{1, []string{"build", "org/demo", "-o", out}, "org/demo: pytorch_model.bin: not a format that is read: it is a pickle"}.check(t)
	repo.Gated, repo.Token = true, "hf_right"
	refusal{1, []string{"build", "org/demo", "-o", out, "--weights", "random:1"}, "is gated: accept its licence at"}.check(t)
	t.Setenv("HF_ENDPOINT", "nowhere")
	refusal{1, []string{"build", "org/demo", "-o", out}, "HF_ENDPOINT is nowhere"}.check(t)
}
