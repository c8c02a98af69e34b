package main

import (
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"llmc/engine"
	"llmc/engine/oci"
	"llmc/engine/oci/ocitest"
	"llmc/internal/cachedir"
	"llmc/internal/clitest"
)

// TestServeFromARegistry kills a server in the middle of its pull, then wants the next one to serve, what the file gives, under the repository's name, and to need no
// registry for a digest.
func TestServeFromARegistry(t *testing.T) {
	r, host := ocitest.Start(t)
	cache := t.TempDir()
	t.Setenv(cachedir.Variable, cache)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	path := buildDemo(t, "")
	plan, err := engine.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	tag, err := oci.ParseRef(host + "/models/small:v1")
	if err != nil {
		t.Fatal(err)
	}
	client := &oci.Client{Cut: oci.Cut{Least: 50 << 10, Most: 100 << 10, Section: 1 << 10}}
	pushed, err := client.Push(t.Context(), plan, tag)
	if err != nil {
		t.Fatal(err)
	}
	killInPull(t, r, tag.String(), cache)
	var file, served generatedJSON
	generate := func(plan string, to *generatedJSON) {
		clitest.Run(t, "", "generate", plan, "--tokens", "1,2,3", "--max-tokens", "4", "--ignore-eos", "--json").JSON(t, to)
	}
	address, _ := startServer(t, clitest.Command("serve", tag.String(), "--port", "0"))
	resp, err := http.Get(address + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); !strings.Contains(string(text), `"small"`) {
		t.Errorf("models: %s", text)
	}
	r.Intercept = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true }
	generate(path, &file)
	generate(pushed.Reference, &served)
	if len(file.Tokens) != 4 || !slices.Equal(file.Tokens, served.Tokens) {
		t.Errorf("tokens %v of the file, %v of the registry", file.Tokens, served.Tokens)
	}
	clitest.Run(t, "", "tokenize", tag.String()).Refused(t, 1, tag.String()+": access denied")
	clitest.Run(t, "", "tokenize", "oci://127.0.0.1:1/x:y").Refused(t, 1, "oci://127.0.0.1:1/x:y: no usable answer from 127.0.0.1:1: connection refused")
	t.Setenv(cachedir.Variable, cachedir.Off)
	clitest.Run(t, "", "tokenize", pushed.Reference).Refused(t, 1, "LLMC_CACHE is off")
}

// killInPull starts a server, and kills it when some layers have come and one is on its way.
func killInPull(t *testing.T, r *ocitest.Registry, ref, cache string) {
	t.Helper()
	half := make(chan struct{})
	var blobs atomic.Int64
	var once sync.Once
	r.Intercept = func(_ http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.Path, "/blobs/") || blobs.Add(1) <= 6 {
			return false
		}
		once.Do(func() { close(half) })
		<-req.Context().Done()
		return true
	}
	cmd := clitest.Command("serve", ref, "--port", "0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-half:
	case <-time.After(time.Minute):
		t.Error("the server fetches nothing")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	r.Intercept = nil
	whole, _ := filepath.Glob(filepath.Join(cache, "plans", "*", "*plan"))
	partial, _ := filepath.Glob(filepath.Join(cache, "plans", "*", "partial"))
	if len(whole) != 0 || len(partial) != 1 {
		t.Errorf("plans %v, partial %v", whole, partial)
	}
}
