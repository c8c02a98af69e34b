package hub

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"llmc/compiler/hf"
	"llmc/compiler/hub/hubtest"
)

const (
	testRepo  = "org/name"
	testPiece = 4096
)

var testCommit = hubtest.Commit("main")

// noise is data of n bytes that repeats nowhere near a piece.
func noise(n int) []byte {
	data := make([]byte, n)
	x := uint32(n) | 1
	for i := range data {
		x = x*1664525 + 1013904223
		data[i] = byte(x >> 24)
	}
	return data
}

// model is a repository with one large file.
func model() *hubtest.Repo {
	return &hubtest.Repo{Commit: testCommit, Files: map[string][]byte{
		"config.json": []byte(`{"model_type":"llama"}`), "generation_config.json": []byte(`{}`), "tokenizer.json": noise(2000), "README.md": []byte("card"),
		"model.safetensors": noise(10*testPiece + 17), "pytorch_model.bin": noise(5000), "onnx/model.onnx": noise(3000), "additional_chat_templates/tool.jinja": []byte("x"),
		"images/a b&c#d.png": []byte("png"),
	}}
}

// newClient is a client of the server with a cache of its own, small pieces and no pauses.
func newClient(t testing.TB, s *hubtest.Server) *Client {
	t.Helper()
	u, err := url.Parse(s.Hub.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := New(&Settings{Endpoint: u, Cache: t.TempDir(), ListTimeout: 5 * time.Second, DataTimeout: 5 * time.Second})
	c.pieceBytes = testPiece
	c.wait = func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) }
	return c
}

func fetch(t testing.TB, c *Client, text string) (*Snapshot, error) {
	t.Helper()
	ref, err := ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	return c.Fetch(t.Context(), ref, hf.NeedModel)
}

func mustFetch(t testing.TB, c *Client, text string) *Snapshot {
	t.Helper()
	s, err := fetch(t, c, text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantError(t testing.TB, err error, kind error, pieces ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%v is not %q", err, kind)
		return
	}
	for _, piece := range pieces {
		if !strings.Contains(err.Error(), piece) {
			t.Errorf("%q lacks %q", err, piece)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("%q is not one line of text", err)
	}
}

// wanted are the files of model that a build reads.
var wanted = []string{"README.md", "additional_chat_templates/tool.jinja", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}

// holds checks that a snapshot has just these files, as links to blobs that are named by their hash, and that nothing else lies about.
func holds(t testing.TB, c *Client, s *Snapshot, repo *hubtest.Repo, names []string) {
	t.Helper()
	var have []string
	_ = filepath.WalkDir(s.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(s.Dir, path)
		have = append(have, name)
		target, err := os.Readlink(path)
		if err != nil || filepath.IsAbs(target) {
			t.Errorf("%s is no relative link: %q, %v", name, target, err)
		}
		data, err := os.ReadFile(path)
		if err != nil || string(data) != string(repo.Files[name]) {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
		if hash := filepath.Base(target); hash != hubtest.GitHash(data) && hash != hubtest.SHA256(data) {
			t.Errorf("%s links to %s", name, target)
		}
		return nil
	})
	slices.Sort(have)
	if !slices.Equal(have, names) {
		t.Errorf("the snapshot has %q, not %q", have, names)
	}
	for _, name := range leftovers(t, c) {
		t.Errorf("%s is left", name)
	}
}

// leftovers are files of the cache that are not finished.
func leftovers(t testing.TB, c *Client) (names []string) {
	t.Helper()
	err := filepath.WalkDir(c.Cache, func(path string, d os.DirEntry, err error) error {
		if strings.HasSuffix(path, partialSuffix) || strings.HasSuffix(path, ".tmp") {
			names = append(names, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestFetch(t *testing.T) {
	repo := model()
	repo.Commits = map[string]string{"v1.0": testCommit, "refs/pr/3": hubtest.Commit("pr")}
	s := hubtest.Start(t, map[string]*hubtest.Repo{testRepo: repo})
	s.PageSize = 3
	c := newClient(t, s)
	snapshot := mustFetch(t, c, testRepo)
	if snapshot.Commit != testCommit || snapshot.Repo != testRepo || snapshot.Dir != filepath.Join(c.Cache, "models--org--name", "snapshots", testCommit) {
		t.Errorf("%+v", snapshot)
	}
	holds(t, c, snapshot, repo, wanted)
	if ref, err := os.ReadFile(filepath.Join(c.Cache, "models--org--name", "refs", "main")); err != nil || string(ref) != testCommit {
		t.Errorf("refs/main is %q, %v", ref, err)
	}

	// What is there is not downloaded again, whatever the revision's name.
	s.Forget()
	holds(t, c, mustFetch(t, c, testRepo+"@v1.0"), repo, wanted)
	pr := mustFetch(t, c, testRepo+"@refs/pr/3")
	holds(t, c, pr, repo, wanted)
	if pr.Commit != hubtest.Commit("pr") {
		t.Errorf("commit %s", pr.Commit)
	}
	for _, seen := range s.Seen() {
		if strings.Contains(seen.Path, "/resolve/") || seen.CDN {
			t.Errorf("asked again for %s", seen.Path)
		}
	}

	// A commit that is there needs no Hub.
	s.Forget()
	mustFetch(t, c, testRepo+"@"+testCommit)
	if n := len(s.Seen()); n != 0 {
		t.Errorf("%d requests for a commit that is there", n)
	}
	c.Offline = true
	for _, revision := range []string{"", "@main", "@v1.0", "@refs/pr/3", "@" + testCommit} {
		mustFetch(t, c, testRepo+revision)
	}
	if n := len(s.Seen()); n != 0 {
		t.Errorf("%d requests offline", n)
	}
}

func TestFetchConfigAlone(t *testing.T) {
	repo := model()
	s := hubtest.Start(t, map[string]*hubtest.Repo{testRepo: repo})
	c := newClient(t, s)
	snapshot, err := c.Fetch(t.Context(), Ref{testRepo, "main"}, hf.NeedConfig)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, c, snapshot, repo, slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return name == "model.safetensors" }))
	c.Offline = true
	if _, err := c.Fetch(t.Context(), Ref{testRepo, "main"}, hf.NeedConfig); err != nil {
		t.Error(err)
	}
	_, err = fetch(t, c, testRepo)
	wantError(t, err, ErrOffline, "org/name: ", "incomplete", "without --offline")
	c.Offline = false
	holds(t, c, mustFetch(t, c, testRepo+"@"+testCommit), repo, wanted)
}

// sharded is a repository whose weights lie in two files.
func sharded() *hubtest.Repo {
	repo := model()
	delete(repo.Files, "model.safetensors")
	repo.Files["a.safetensors"], repo.Files["b.safetensors"], repo.Files["c.safetensors"] = noise(9000), noise(5000), noise(100)
	repo.Files["model.safetensors.index.json"] = []byte(`{"weight_map":{"x":"a.safetensors","y":"b.safetensors"}}`)
	return repo
}

func TestFetchShards(t *testing.T) {
	repo := sharded()
	s := hubtest.Start(t, map[string]*hubtest.Repo{testRepo: repo})
	c := newClient(t, s)
	want := append(slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return name == "model.safetensors" }),
		"a.safetensors", "b.safetensors", "model.safetensors.index.json")
	slices.Sort(want)
	holds(t, c, mustFetch(t, c, testRepo), repo, want)
	c.Offline = true
	mustFetch(t, c, testRepo)
	if err := os.Remove(filepath.Join(c.Cache, "models--org--name", "snapshots", testCommit, "b.safetensors")); err != nil {
		t.Fatal(err)
	}
	_, err := fetch(t, c, testRepo)
	wantError(t, err, ErrOffline, "org/name: b.safetensors: is not in the cache")
	if err := os.RemoveAll(filepath.Join(c.Cache, "models--org--name", ".llmc")); err != nil {
		t.Fatal(err)
	}
	_, err = fetch(t, c, testRepo)
	wantError(t, err, ErrOffline, "b.safetensors: is not in the cache")
}

// A mirror that has no listings is asked for each file.
func TestFetchWithoutListing(t *testing.T) {
	for _, revision := range []string{"main", testCommit} {
		repo := model()
		repo.NoTree = true
		s := hubtest.Start(t, map[string]*hubtest.Repo{testRepo: repo})
		c := newClient(t, s)
		holds(t, c, mustFetch(t, c, testRepo+"@"+revision), repo, wanted)
	}
}

// Processes and threads that want the same files at once all get them, and each byte comes once.
func TestFetchTogether(t *testing.T) {
	repo := model()
	s := hubtest.Start(t, map[string]*hubtest.Repo{testRepo: repo})
	first := newClient(t, s)
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			c := newClient(t, s)
			c.Cache = first.Cache
			if _, err := fetch(t, c, testRepo); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	holds(t, first, mustFetch(t, first, testRepo), repo, wanted)
	ranges := map[string]int{}
	for _, seen := range s.Seen() {
		if seen.CDN {
			ranges[fmt.Sprint(seen.Path, seen.Range)]++
		}
	}
	for what, n := range ranges {
		if n > 1 {
			t.Errorf("%s was downloaded %d times", what, n)
		}
	}
}
