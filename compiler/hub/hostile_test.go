package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"llmc/compiler/hf"
	"llmc/compiler/hub/hubtest"
	"llmc/internal/cachedir"
)

// A listing is believed in nothing: names, hashes, sizes and counts are checked before a file is made.
func TestHostileListings(t *testing.T) {
	hash := strings.Repeat("a", 40)
	entry := func(name, oid string, size any) string {
		quoted, _ := json.Marshal(name)
		return fmt.Sprintf(`{"type":"file","path":%s,"oid":%q,"size":%v}`, quoted, oid, size)
	}
	config, index := entry("config.json", hash, 2), `{"type":"file","path":"model.safetensors.index.json","oid":"%s","size":%d}`
	for _, c := range []struct {
		what, tree string
		kind       error
		want       []string
	}{
		{"no hash", config + "," + entry("model.safetensors", "../../../x", 5), ErrAnswer, []string{"model.safetensors: its ETag is ../../../x"}},
		{"negative size", config + "," + entry("model.safetensors", hash, -5), ErrAnswer, []string{"has -5 bytes"}},
		{"huge", config + "," + entry("model.safetensors", hash, int64(math.MaxInt64)), ErrAnswer, []string{"model.safetensors: has 9223372036854775807 bytes"}},
		{"huge configuration", entry("config.json", hash, 1<<30) + "," + entry("model.safetensors", hash, 5), ErrAnswer, []string{"config.json: has 1073741824 bytes by the listing, at most"}},
		{"overflow", config + "," + entry("model.safetensors", hash, "1e30"), ErrAnswer, []string{"no JSON of a Hub"}},
		{"named above", config + "," + entry("additional_chat_templates/..\\x.jinja", hash, 5) + "," + entry("model.safetensors", hash, 5), ErrAnswer,
			[]string{"its name has characters"}},
		{"control", config + "," + entry("license.\x1b[31m", hash, 5) + "," + entry("model.safetensors", hash, 5), ErrAnswer, []string{`license.\x1b[31m`}},
		{"pickle", config + "," + entry("pytorch_model.bin", hash, 5), hf.ErrForeign, []string{"org/name: pytorch_model.bin: ", "a pickle, which can run code"}},
		{"no weights", config, nil, []string{"there are no weights"}},
		{"no configuration", entry("model.safetensors", hash, 5), nil, []string{"config.json: is missing"}},
		{"many", config + strings.Repeat(","+entry("x", hash, 1), maxFiles), ErrAnswer, []string{"more than 100000 files"}},
		{"terabytes", config + "," + fmt.Sprintf(index, hubtest.GitHash(terabytesIndex), len(terabytesIndex)) + terabytes(hash), ErrAnswer, []string{"more than 16.0 TiB"}},
	} {
		s := hubtest.Start(t, map[string]*hubtest.Repo{testRepo: {Commit: testCommit, Files: map[string][]byte{"model.safetensors.index.json": terabytesIndex, "config.json": []byte("{}")}}})
		s.Before(func(w http.ResponseWriter, r *http.Request, _ bool) bool {
			if strings.Contains(r.URL.Path, "/tree/") {
				fmt.Fprintf(w, "[%s]", c.tree)
				return true
			}
			return false
		})
		client := newClient(t, s)
		_, err := fetch(t, client, testRepo)
		if err == nil {
			t.Errorf("%s: no error", c.what)
			continue
		}
		if c.kind == nil {
			c.kind = err
		}
		wantError(t, err, c.kind, c.want...)
		if _, err := os.Stat(filepath.Join(client.Cache, "models--org--name", "snapshots")); err == nil {
			t.Errorf("%s: there are snapshots", c.what)
		}
	}
}

const tooManyTerabytes = 9

var terabytesIndex = func() []byte {
	var names []string
	for i := range tooManyTerabytes {
		names = append(names, fmt.Sprintf(`"%d":"%d.safetensors"`, i, i))
	}
	return []byte(`{"weight_map":{` + strings.Join(names, ",") + `}}`)
}()

func terabytes(hash string) (text string) {
	for i := range tooManyTerabytes {
		text += fmt.Sprintf(`,{"type":"file","path":"%d.safetensors","oid":"%d%s","size":%d}`, i, i, hash[1:], int64(2<<40))
	}
	return text
}

func TestHostileIndexes(t *testing.T) {
	for index, want := range map[string]string{
		`{"weight_map":{"x":"../../../../etc/x.safetensors"}}`: "is outside the checkpoint's directory",
		`{"weight_map":{"x":"none.safetensors"}}`:              "none.safetensors: is named by model.safetensors.index.json and not in the repository",
		`{"weight_map":{"x":"pytorch_model.bin"}}`:             "is not a .safetensors file",
		`{"weight_map":`: "JSON ends too early",
	} {
		repo := sharded()
		repo.Files["model.safetensors.index.json"] = []byte(index)
		_, c := start(t, repo)
		_, err := fetch(t, c, testRepo)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "org/name: ") {
			t.Errorf("%s: %v lacks %q", index, err, want)
		}
	}
}

func TestHostileAnswers(t *testing.T) {
	repo := model()
	s, _ := start(t, repo)
	secure := httptest.NewTLSServer(http.RedirectHandler(s.Hub.URL, http.StatusFound))
	t.Cleanup(secure.Close)
	for _, c := range []struct {
		what   string
		answer func(w http.ResponseWriter, r *http.Request) bool
		want   string
	}{
		{"a page that asks to log in", func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "<html>"); return true }, "no JSON of a Hub"},
		{"no commit", func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, `{"sha":"../../x"}`); return true }, "gives ../../x as the commit"},
		{"a loop", func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return true
		}, "more than 10 redirects"},
		{"another scheme", func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
			return true
		}, "it redirects to file:///etc/passwd"},
		{"another status", func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(http.StatusTeapot); return true }, "answers 418"},
		{"compression", func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/resolve/") {
				w.Header().Set("Content-Encoding", "gzip")
				return false
			}
			return false
		}, "compresses it (gzip)"},
		{"an answer without end", func(w http.ResponseWriter, r *http.Request) bool {
			for _, err := w.Write([]byte("[")); err == nil; _, err = w.Write(make([]byte, 1<<20)) {
			}
			return true
		}, "lists more than 64.0 MiB"},
		{"another range", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") != "" {
				r.Header.Set("Range", "bytes=1-2")
			}
			return false
		}, "gives range bytes 1-2/"},
	} {
		s.Before(func(w http.ResponseWriter, r *http.Request, _ bool) bool { return c.answer(w, r) })
		client := newClient(t, s)
		_, err := fetch(t, client, testRepo)
		if err == nil {
			t.Errorf("%s: no error", c.what)
			continue
		}
		wantError(t, err, ErrAnswer, c.want)
	}
	client := newClient(t, s)
	client.Endpoint, _ = url.Parse(secure.URL)
	client.http.Transport = secure.Client().Transport
	_, err := fetch(t, client, testRepo)
	wantError(t, err, ErrAnswer, "from https to http")
}

func TestDiskIsFull(t *testing.T) {
	repo := model()
	_, c := start(t, repo)
	c.free = func(string) int64 { return spareBytes + 100 }
	_, err := fetch(t, c, testRepo)
	wantError(t, err, ErrSpace, "are to be downloaded and "+c.Cache+" has 64.0 MiB free", "HF_HUB_CACHE")
	if _, err := os.Stat(filepath.Join(c.Cache, "models--org--name")); err == nil {
		t.Error("something was made")
	}
	c.free = cachedir.FreeBytes
	mustFetch(t, c, testRepo)
	c.free = func(string) int64 { return 0 }
	mustFetch(t, c, testRepo) // needs nothing more
	if free := cachedir.FreeBytes(filepath.Join(t.TempDir(), "not", "there")); free <= 0 || free == math.MaxInt64 {
		t.Errorf("%d bytes are free", free)
	}
}

func TestLocks(t *testing.T) {
	repo := model()
	_, c := start(t, repo)
	path := c.lockPath(&repo0, hubtest.SHA256(weights(repo)))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	lock, err := tryLock(path)
	if err != nil || lock == nil {
		t.Fatal(lock, err)
	}
	if again, err := tryLock(path); again != nil || err != nil {
		t.Errorf("locked twice: %v, %v", again, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Fetch(ctx, Ref{testRepo, "main"}, hf.NeedModel); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("did not wait for the lock: %v", err)
	}
	nothingVisible(t, c, repo)
	time.AfterFunc(150*time.Millisecond, lock.release)
	holds(t, c, mustFetch(t, c, testRepo), repo, wanted)

	// A lock whose file was removed is none.
	lock, err = tryLock(path)
	if err != nil || os.Remove(path) != nil {
		t.Fatal(err)
	}
	defer lock.release()
	other, err := tryLock(path)
	if err != nil || other == nil {
		t.Fatalf("%v, %v", other, err)
	}
	other.release()
}

var repo0 = repo{ref: Ref{testRepo, "main"}}

// On a file system without locks everybody downloads to a file of its own.
func TestWithoutLocks(t *testing.T) {
	repo := model()
	s, first := start(t, repo)
	done := make(chan error)
	for range 4 {
		go func() {
			c := newClient(t, s)
			c.Cache = first.Cache
			c.lock = func(path string) (*fileLock, error) {
				f, err := os.Create(path)
				return &fileLock{file: f}, err
			}
			_, err := c.Fetch(t.Context(), Ref{testRepo, "main"}, hf.NeedModel)
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	holds(t, first, mustFetch(t, first, testRepo), repo, wanted)
}

// What the cache has in other forms is taken as it is; links that lead elsewhere are replaced.
func TestOddCaches(t *testing.T) {
	repo := model()
	s, c := start(t, repo)
	snapshot := mustFetch(t, c, testRepo)
	tokenizer, config := filepath.Join(snapshot.Dir, "tokenizer.json"), filepath.Join(snapshot.Dir, "config.json")
	if os.Remove(tokenizer) != nil || os.WriteFile(tokenizer, repo.Files["tokenizer.json"], 0o666) != nil ||
		os.Remove(config) != nil || os.Symlink("../../blobs/none", config) != nil {
		t.Fatal("could not change the cache")
	}
	blob := filepath.Join(c.Cache, "models--org--name", "blobs", hubtest.SHA256(weights(repo)))
	if err := os.Truncate(blob, 100); err != nil {
		t.Fatal(err)
	}
	snapshot = mustFetch(t, c, testRepo)
	for name, want := range map[string][]byte{"tokenizer.json": repo.Files["tokenizer.json"], "config.json": repo.Files["config.json"], "model.safetensors": weights(repo)} {
		if data, err := os.ReadFile(filepath.Join(snapshot.Dir, name)); err != nil || string(data) != string(want) {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
	// The Python client's list of a commit tells offline what is missing.
	if os.RemoveAll(filepath.Join(c.Cache, "models--org--name", ".llmc")) != nil || os.Remove(tokenizer) != nil {
		t.Fatal("could not change the cache")
	}
	c.Offline = true
	mustFetch(t, c, testRepo) // nothing tells that there is a tokenizer
	trees := filepath.Join(c.Cache, "models--org--name", "trees")
	list := `{"format_version":1,"files":{"config.json":{"size":1},"tokenizer.json":{"size":1},"model.safetensors":{"size":1},"x.bin":{"size":1}}}`
	if os.Mkdir(trees, 0o777) != nil || os.WriteFile(filepath.Join(trees, testCommit+".json"), []byte(list), 0o666) != nil {
		t.Fatal("could not change the cache")
	}
	_, err := fetch(t, c, testRepo)
	wantError(t, err, ErrOffline, "tokenizer.json: is not in the cache")
	_, err = fetch(t, c, testRepo+"@other")
	wantError(t, err, ErrOffline, "revision other is not in the cache "+c.Cache)
	_, err = fetch(t, c, testRepo+"@"+hubtest.Commit("other"))
	wantError(t, err, ErrOffline, "commit "+hubtest.Commit("other")+" is not in the cache")
	if n := len(s.Seen()); n == 0 {
		t.Error("nothing was asked at all")
	}
}
