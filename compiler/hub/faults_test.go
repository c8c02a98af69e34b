package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"llmc/compiler/hf"
	"llmc/compiler/hub/hubtest"
)

// start starts a Hub with one repository and a client of it.
func start(t testing.TB, repo *hubtest.Repo) (*hubtest.Server, *Client) {
	t.Helper()
	s := hubtest.Start(t, map[string]*hubtest.Repo{testRepo: repo})
	return s, newClient(t, s)
}

func weights(repo *hubtest.Repo) []byte { return repo.Files["model.safetensors"] }

// nothingVisible checks that neither a snapshot nor a blob has appeared for the weights.
func nothingVisible(t testing.TB, c *Client, repo *hubtest.Repo) {
	t.Helper()
	noBlob(t, c, hubtest.SHA256(weights(repo)))
}

// noBlob checks that neither a snapshot nor the blob has appeared. Blobs of other files, which were verified, may have.
func noBlob(t testing.TB, c *Client, blob string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(c.Cache, "models--org--name", "snapshots")); err == nil {
		t.Error("there are snapshots")
	}
	if _, err := os.Stat(filepath.Join(c.Cache, "models--org--name", "blobs", blob)); err == nil {
		t.Error("there is a blob")
	}
	if _, err := os.Stat(filepath.Join(c.Cache, "models--org--name", "refs")); err == nil {
		t.Error("there are refs")
	}
}

// cutting passes on so many bytes and breaks the connection.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	if len(p) > c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

func TestTokenStaysAtTheHub(t *testing.T) {
	repo := model()
	repo.Token = "hf_secret"
	s, c := start(t, repo)
	c.Token, c.TokenFrom = "hf_secret", "HF_TOKEN"
	holds(t, c, mustFetch(t, c, testRepo), repo, wanted)
	cdn := 0
	for _, seen := range s.Seen() {
		if seen.CDN {
			cdn++
		}
		if want := map[bool]string{true: "", false: "hf_secret"}[seen.CDN]; seen.Token != want {
			t.Errorf("%+v: token %q, want %q", seen, seen.Token, want)
		}
	}
	if cdn == 0 {
		t.Error("nothing came from the other host")
	}
}

// Every connection breaks after some hundred bytes; what came is kept.
func TestBrokenConnections(t *testing.T) {
	repo := model()
	s, c := start(t, repo)
	sent := atomic.Int64{}
	s.Before(func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		if !cdn {
			return false
		}
		data := weights(repo)
		if !strings.Contains(r.URL.Path, hubtest.SHA256(data)) {
			data = repo.Files["tokenizer.json"]
		}
		lo, hi := 0, len(data)-1
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &lo, &hi)
		if r.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", lo, hi, len(data)))
			w.Header().Set("Content-Length", fmt.Sprint(hi+1-lo))
			w.WriteHeader(http.StatusPartialContent)
		}
		sent.Add(int64(min(700, hi+1-lo)))
		_, _ = (&cutting{w, 700}).Write(data[lo : hi+1])
		return true
	})
	holds(t, c, mustFetch(t, c, testRepo), repo, wanted)
	if want := int64(len(weights(repo)) + len(repo.Files["tokenizer.json"])); sent.Load() != want {
		t.Errorf("%d bytes were sent for %d", sent.Load(), want)
	}
}

func TestStalledConnections(t *testing.T) {
	repo := model()
	s, c := start(t, repo)
	c.DataTimeout = 50 * time.Millisecond
	stalls := atomic.Int64{}
	s.Before(func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		if cdn && stalls.Add(1) <= 3 {
			w.Header().Set("Content-Length", fmt.Sprint(testPiece))
			w.WriteHeader(http.StatusPartialContent)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}
		return false
	})
	// The answer lacks its range, which is an error that no other try mends; with it, stalling is.
	_, err := fetch(t, c, testRepo)
	wantError(t, err, ErrAnswer, "gives range")
	stalls.Store(0)
	s.Before(func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		if n := stalls.Add(1); cdn && n%2 == 0 && n < 12 {
			<-r.Context().Done()
			return true
		}
		return false
	})
	holds(t, c, mustFetch(t, c, testRepo), repo, wanted)
}

// What does not have the hash that is listed never gets a name, and the next try is whole.
func TestDamage(t *testing.T) {
	for name, hash := range map[string]func([]byte) string{"model.safetensors": hubtest.SHA256, "generation_config.json": hubtest.GitHash} {
		repo := model()
		repo.Files["generation_config.json"] = []byte(`{"top_k":20}`)
		s, c := start(t, repo)
		s.Before(func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
			if cdn != (name == "model.safetensors") || !strings.Contains(r.URL.Path, name) && !strings.Contains(r.URL.Path, hubtest.SHA256(weights(repo))) {
				return false
			}
			data := slices.Clone(repo.Files[name])
			data[len(data)-1] ^= 1
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(data)))
			return true
		})
		_, err := fetch(t, c, testRepo)
		wantError(t, err, ErrCorrupt, "org/name: "+name+": what came has hash")
		noBlob(t, c, hash(repo.Files[name]))
		s.Before(nil)
		holds(t, c, mustFetch(t, c, testRepo), repo, wanted)
	}
}

func TestWrongSizes(t *testing.T) {
	for _, size := range []int{10, 10*testPiece + 18} {
		repo := model()
		s, c := start(t, repo)
		s.Before(func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
			if cdn && strings.Contains(r.URL.Path, hubtest.SHA256(weights(repo))) {
				http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(noise(size))))
				return true
			}
			return false
		})
		_, err := fetch(t, c, testRepo)
		wantError(t, err, ErrCorrupt, "org/name: model.safetensors: ", fmt.Sprint(len(weights(repo))))
		nothingVisible(t, c, repo)
	}
}

// interrupt fetches until so many ranges have come, as a process that is killed would.
func interrupt(t testing.TB, s *hubtest.Server, c *Client, ranges int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	n := atomic.Int64{}
	s.Before(func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		if cdn && r.Header.Get("Range") != "" && n.Add(1) > ranges {
			cancel()
			<-r.Context().Done()
			return true
		}
		return false
	})
	if _, err := c.Fetch(ctx, Ref{testRepo, "main"}, hf.NeedModel); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	s.Before(nil)
	s.Forget()
}

func pieces(s *hubtest.Server) (n int) {
	for _, seen := range s.Seen() {
		if seen.CDN && seen.Range != "" {
			n++
		}
	}
	return n
}

func TestResume(t *testing.T) {
	repo := model()
	s, c := start(t, repo)
	interrupt(t, s, c, 7)
	nothingVisible(t, c, repo)
	holds(t, c, mustFetch(t, c, testRepo), repo, wanted)
	if n := pieces(s); n > 8 || n == 0 {
		t.Errorf("%d pieces came after an interruption that left few", n)
	}
}

// A partial file that was damaged costs another download, not an error.
func TestResumeOfDamage(t *testing.T) {
	repo := model()
	s, c := start(t, repo)
	interrupt(t, s, c, 7)
	path := filepath.Join(c.Cache, "models--org--name", "blobs", hubtest.SHA256(weights(repo))+".llmc"+partialSuffix)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		data[i] ^= 0x55
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	holds(t, c, mustFetch(t, c, testRepo), repo, wanted)

	s, c = start(t, repo)
	interrupt(t, s, c, 7)
	path = filepath.Join(c.Cache, "models--org--name", "blobs", hubtest.SHA256(weights(repo))+".llmc"+marksSuffix)
	if err := os.WriteFile(path, []byte("llmc pieces 1 "), 0o666); err != nil {
		t.Fatal(err)
	}
	holds(t, c, mustFetch(t, c, testRepo), repo, wanted)
}

// Older versions of the Python client append to ETAG.incomplete: that beginning is taken over.
func TestAdoption(t *testing.T) {
	repo := model()
	s, c := start(t, repo)
	blobs := filepath.Join(c.Cache, "models--org--name", "blobs")
	if err := os.MkdirAll(blobs, 0o777); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(blobs, hubtest.SHA256(weights(repo))+partialSuffix)
	if err := os.WriteFile(left, weights(repo)[:6*testPiece+5], 0o666); err != nil {
		t.Fatal(err)
	}
	holds(t, c, mustFetch(t, c, testRepo), repo, wanted)
	if n := pieces(s); n != 5 {
		t.Errorf("%d pieces came of those 5 that were missing", n)
	}
}

// A server that knows no ranges gives files whole, and again from the start when the connection breaks.
func TestNoRanges(t *testing.T) {
	repo := model()
	s, c := start(t, repo)
	breaks := atomic.Int64{}
	s.Before(func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		r.Header.Del("Range")
		if cdn && strings.Contains(r.URL.Path, hubtest.SHA256(weights(repo))) {
			w.Header().Set("Content-Length", fmt.Sprint(len(weights(repo))))
			if breaks.Add(1) == 6 {
				_, _ = (&cutting{w, 20_000}).Write(weights(repo))
			}
			_, _ = w.Write(weights(repo))
			return true
		}
		return false
	})
	holds(t, c, mustFetch(t, c, testRepo), repo, wanted)
	s, c = start(t, repo)
	s.Before(func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		r.Header.Del("Range")
		if cdn {
			w.Header().Set("Content-Length", fmt.Sprint(len(weights(repo))))
			_, _ = (&cutting{w, 20_000}).Write(weights(repo))
		}
		return false
	})
	delete(repo.Files, "tokenizer.json")
	_, err := fetch(t, c, testRepo)
	wantError(t, err, ErrServer, "org/name: model.safetensors: ", "try again")
	nothingVisible(t, c, repo)
}

// The addresses that a Hub redirects to hold for a time.
func TestAddressesEnd(t *testing.T) {
	repo := model()
	s, c := start(t, repo)
	n := atomic.Int64{}
	s.Before(func(w http.ResponseWriter, r *http.Request, cdn bool) bool {
		if cdn && n.Add(1)%4 == 0 {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
	holds(t, c, mustFetch(t, c, testRepo), repo, wanted)
	resolved := 0
	for _, seen := range s.Seen() {
		if strings.HasSuffix(seen.Path, "model.safetensors") {
			resolved++
		}
	}
	if resolved < 2 || resolved > 9 {
		t.Errorf("the Hub was asked %d times for 11 pieces", resolved)
	}
}
