// Package hubtest is a server that speaks the HTTP of the HuggingFace Hub, and a second host where large files lie, as on the Hub's CDN. Only tests import it.
package hubtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Repo is a repository.
type Repo struct {
	Files   map[string][]byte
	Commit  string            // of main
	Commits map[string]string // of other branches and tags; they all have the same files
	Token   string            // that is needed to read it, "" for none
	Gated   bool              // to read its files; without, not even its names
	NoTree  bool              // as mirrors that know no listings
}

// Seen is a request that came.
type Seen struct {
	Method, Path, Range, Token string
	CDN                        bool
}

// Server is a Hub. Large files, those of more than LargeBytes, lie on another host.
type Server struct {
	Hub, CDN   *httptest.Server
	LargeBytes int
	PageSize   int // of listings

	mu     sync.Mutex
	repos  map[string]*Repo
	seen   []Seen
	before func(w http.ResponseWriter, r *http.Request, cdn bool) bool
}

// Start starts a Hub that ends with the test.
func Start(t testing.TB, repos map[string]*Repo) *Server {
	s := &Server{repos: repos, LargeBytes: 1000, PageSize: 1000}
	s.Hub = httptest.NewServer(s.observed(false, s.serveHub))
	s.CDN = httptest.NewServer(s.observed(true, s.serveCDN))
	t.Cleanup(func() { s.Hub.Close(); s.CDN.Close() })
	return s
}

// Commit makes up a commit's hash.
func Commit(of string) string {
	sum := sha1.Sum([]byte(of))
	return hex.EncodeToString(sum[:])
}

// Directory reads all files of a directory, for Repo.
func Directory(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Before sets what sees each request first; it tells whether it has answered.
func (s *Server) Before(f func(w http.ResponseWriter, r *http.Request, cdn bool) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// Seen returns the requests so far.
func (s *Server) Seen() []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Forget forgets the requests so far.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
}

func (s *Server) observed(cdn bool, serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.seen = append(s.seen, Seen{r.Method, r.URL.EscapedPath(), r.Header.Get("Range"), token, cdn})
		before := s.before
		s.mu.Unlock()
		if before == nil || !before(w, r, cdn) {
			serve(w, r)
		}
	})
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Error-Code", code)
	w.Header().Set("X-Error-Message", message)
	w.WriteHeader(status)
}

// serveHub answers /api/models/ORG/NAME/... and /ORG/NAME/resolve/REVISION/FILE.
func (s *Server) serveHub(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	api := len(parts) > 2 && parts[0] == "api" && parts[1] == "models"
	if api {
		parts = parts[2:]
	}
	if len(parts) < 2 {
		refuse(w, http.StatusNotFound, "", "")
		return
	}
	if len(parts) == 2 {
		parts = append(parts, "revision", "main")
	}
	repo := s.repos[parts[0]+"/"+parts[1]]
	allowed := repo != nil && (repo.Token == "" || r.Header.Get("Authorization") == "Bearer "+repo.Token)
	if repo == nil || !allowed && !repo.Gated {
		refuse(w, http.StatusUnauthorized, "RepoNotFound", "Repository not found")
		return
	}
	revision, _ := url.PathUnescape(parts[3])
	commit := repo.Commit
	if other, ok := repo.Commits[revision]; ok {
		commit = other
	} else if slices.Contains(slices.Collect(maps.Values(repo.Commits)), revision) {
		commit = revision
	} else if revision != "main" && revision != commit {
		refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+revision)
		return
	}
	switch kind := parts[2]; {
	case api && kind == "revision":
		s.info(w, repo, parts[0]+"/"+parts[1], commit)
	case api && kind == "tree" && !repo.NoTree:
		s.tree(w, r, repo)
	case !api && kind == "resolve" && !allowed:
		refuse(w, http.StatusForbidden, "GatedRepo", "Access to model is restricted")
	case !api && kind == "resolve":
		name, _ := url.PathUnescape(strings.Join(parts[4:], "/"))
		s.resolve(w, r, repo, commit, name)
	default:
		refuse(w, http.StatusNotFound, "", "")
	}
}

func (r *Repo) names() []string {
	var names []string
	for name := range r.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (s *Server) info(w http.ResponseWriter, repo *Repo, id, commit string) {
	siblings := []map[string]string{}
	for _, name := range repo.names() {
		siblings = append(siblings, map[string]string{"rfilename": name})
	}
	writeJSON(w, map[string]any{"id": id, "modelId": id, "sha": commit, "private": false, "tags": []string{}, "downloads": 0, "likes": 0, "siblings": siblings})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v)
}

// GitHash is the name of a blob in git.
func GitHash(data []byte) string {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(data))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// SHA256 is the name of a large file.
func SHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (s *Server) tree(w http.ResponseWriter, r *http.Request, repo *Repo) {
	entries := []map[string]any{}
	folders := map[string]bool{}
	for _, name := range repo.names() {
		data := repo.Files[name]
		if dir := filepath.Dir(name); dir != "." && !folders[dir] {
			folders[dir] = true
			entries = append(entries, map[string]any{"type": "directory", "oid": Commit(dir), "size": 0, "path": dir})
		}
		e := map[string]any{"type": "file", "path": name, "size": len(data), "oid": GitHash(data)}
		if len(data) > s.LargeBytes {
			e["oid"] = Commit(name)
			e["lfs"] = map[string]any{"oid": SHA256(data), "size": len(data), "pointerSize": 134}
		}
		entries = append(entries, e)
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	from = min(from, len(entries))
	to := min(len(entries), from+s.PageSize)
	if to < len(entries) {
		w.Header().Set("Link", fmt.Sprintf(`<https://hub.invalid%s?recursive=true&cursor=%d>; rel="next"`, r.URL.EscapedPath(), to))
	}
	writeJSON(w, entries[from:to])
}

func (s *Server) resolve(w http.ResponseWriter, r *http.Request, repo *Repo, commit, name string) {
	w.Header().Set("X-Repo-Commit", commit)
	data, ok := repo.Files[name]
	if !ok {
		refuse(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	if len(data) <= s.LargeBytes {
		w.Header().Set("ETag", `"`+GitHash(data)+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		return
	}
	w.Header().Set("X-Linked-Etag", `"`+SHA256(data)+`"`)
	w.Header().Set("X-Linked-Size", strconv.Itoa(len(data)))
	w.Header().Set("Location", s.CDN.URL+"/"+SHA256(data)+"?signature=x")
	w.WriteHeader(http.StatusFound)
}

// serveCDN gives large files by their hash to whoever has the address.
func (s *Server) serveCDN(w http.ResponseWriter, r *http.Request) {
	for _, repo := range s.repos {
		for _, data := range repo.Files {
			if "/"+SHA256(data) == r.URL.Path && r.URL.RawQuery == "signature=x" {
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
				return
			}
		}
	}
	w.WriteHeader(http.StatusForbidden)
}
