// Package ocitest is a registry for tests: the distribution protocol 1.1 in memory, which counts what is asked of it and can be told to fail. Only tests import it.
package ocitest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Registry answers as a registry does.
type Registry struct {
	mu        sync.Mutex
	blobs     map[string]map[string][]byte // by repository and digest
	manifests map[string]map[string]stored // by repository, and tag or digest
	uploads   map[string][]byte
	next      int
	stats     Stats

	// Intercept, if it is set, may answer a request itself, and then returns true. It is called without the lock.
	Intercept func(w http.ResponseWriter, r *http.Request) bool
	// NoPatch makes the registry one that takes a blob in one piece alone.
	NoPatch bool
	// NoRange makes it one that sends blobs from their beginning alone.
	NoRange bool
	// Referrers makes it one that lists what refers to a manifest.
	Referrers bool
}

type stored struct {
	kind string
	data []byte
}

// Stats count bytes of blobs that came in and went out, and requests by method and kind.
type Stats struct {
	In, Out  int64
	Requests map[string]int // such as "HEAD blobs"
}

// Start runs a registry over HTTP until the test ends, and returns its address without a scheme.
func Start(t testing.TB) (*Registry, string) {
	t.Helper()
	r := New()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, strings.TrimPrefix(server.URL, "http://")
}

// New returns an empty registry.
func New() *Registry {
	return &Registry{blobs: map[string]map[string][]byte{}, manifests: map[string]map[string]stored{}, uploads: map[string][]byte{}, stats: Stats{Requests: map[string]int{}}}
}

// Take returns what was counted since the last call.
func (r *Registry) Take() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	r.stats = Stats{Requests: map[string]int{}}
	return s
}

// Change lets a test change a blob behind its digest.
func (r *Registry) Change(repo, digest string, change func([]byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	data := slices.Clone(r.blobs[repo][digest])
	change(data)
	r.blobs[repo][digest] = data
}

// ChangeManifest lets a test change what a tag or digest of a manifest gives.
func (r *Registry) ChangeManifest(repo, name string, change func([]byte) []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.manifests[repo][name]
	r.manifests[repo][name] = stored{m.kind, change(slices.Clone(m.data))}
}

// Manifest returns what is stored under a tag or digest.
func (r *Registry) Manifest(repo, name string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.manifests[repo][name].data
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if r.Intercept != nil && r.Intercept(w, req) {
		return
	}
	path := strings.TrimPrefix(req.URL.Path, "/v2/")
	if path == "" {
		return
	}
	for _, route := range []struct {
		part  string
		serve func(w http.ResponseWriter, req *http.Request, repo, name string)
	}{{"/blobs/uploads/", r.upload}, {"/blobs/", r.blob}, {"/manifests/", r.manifest}, {"/tags/", r.tags}, {"/referrers/", r.referrers}} {
		if repo, name, ok := strings.Cut(path, route.part); ok {
			r.mu.Lock()
			r.stats.Requests[req.Method+" "+strings.Trim(route.part, "/")]++
			r.mu.Unlock()
			route.serve(w, req, repo, name)
			return
		}
	}
	refuse(w, http.StatusNotFound, "NAME_UNKNOWN")
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"refused by the test"}]}`, code)
}

func (r *Registry) upload(w http.ResponseWriter, req *http.Request, repo, id string) {
	at := func(id string) { w.Header().Set("Location", "/v2/"+repo+"/blobs/uploads/"+id) }
	r.mu.Lock()
	have, known := r.uploads[id]
	r.mu.Unlock()
	switch {
	case req.Method == http.MethodPost:
		r.begin(w, req, repo, at)
	case !known:
		refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	case req.Method == http.MethodGet:
		at(id)
		w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, len(have)-1)))
		w.WriteHeader(http.StatusNoContent)
	case req.Method == http.MethodPatch && r.NoPatch:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED")
	case req.Method == http.MethodPatch:
		if from, _, _ := strings.Cut(req.Header.Get("Content-Range"), "-"); from != strconv.Itoa(len(have)) {
			refuse(w, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID")
			return
		}
		whole := r.receive(req, id)
		at(id)
		if w.WriteHeader(http.StatusAccepted); !whole {
			panic(http.ErrAbortHandler)
		}
	case req.Method == http.MethodPut:
		r.receive(req, id)
		r.commit(w, repo, id, req.URL.Query().Get("digest"))
	default:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED")
	}
}

// begin starts an upload, or mounts a blob of another repository.
func (r *Registry) begin(w http.ResponseWriter, req *http.Request, repo string, at func(id string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	query := req.URL.Query()
	if data, ok := r.blobs[query.Get("from")][query.Get("mount")]; ok {
		r.keep(repo, query.Get("mount"), data)
		w.WriteHeader(http.StatusCreated)
		return
	}
	r.next++
	id := strconv.Itoa(r.next)
	r.uploads[id] = nil
	at(id)
	w.WriteHeader(http.StatusAccepted)
}

// receive keeps what comes, also if the rest does not.
func (r *Registry) receive(req *http.Request, id string) (whole bool) {
	data, err := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uploads[id] = append(r.uploads[id], data...)
	r.stats.In += int64(len(data))
	return err == nil
}

func (r *Registry) commit(w http.ResponseWriter, repo, id, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	data := r.uploads[id]
	delete(r.uploads, id)
	if Digest(data) != digest {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID")
		return
	}
	r.keep(repo, digest, data)
	w.WriteHeader(http.StatusCreated)
}

func (r *Registry) keep(repo, digest string, data []byte) {
	if r.blobs[repo] == nil {
		r.blobs[repo] = map[string][]byte{}
	}
	r.blobs[repo][digest] = data
}

// Digest names bytes.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (r *Registry) blob(w http.ResponseWriter, req *http.Request, repo, digest string) {
	r.mu.Lock()
	data, ok := r.blobs[repo][digest]
	r.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN")
		return
	}
	status := http.StatusOK
	var from int
	if _, err := fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-", &from); err == nil && !r.NoRange && from < len(data) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
		data, status = data[from:], http.StatusPartialContent
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	if req.Method != http.MethodHead {
		n, _ := w.Write(data)
		r.mu.Lock()
		r.stats.Out += int64(n)
		r.mu.Unlock()
	}
}

func (r *Registry) manifest(w http.ResponseWriter, req *http.Request, repo, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.Method == http.MethodPut {
		data, _ := io.ReadAll(req.Body)
		if r.manifests[repo] == nil {
			r.manifests[repo] = map[string]stored{}
		}
		m := stored{req.Header.Get("Content-Type"), data}
		r.manifests[repo][name], r.manifests[repo][Digest(data)] = m, m
		w.WriteHeader(http.StatusCreated)
		return
	}
	m, ok := r.manifests[repo][name]
	if !ok {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN")
		return
	}
	w.Header().Set("Content-Type", m.kind)
	_, _ = w.Write(m.data)
}

func (r *Registry) tags(w http.ResponseWriter, req *http.Request, repo, _ string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var tags []string
	for _, name := range slices.Sorted(maps.Keys(r.manifests[repo])) {
		if !strings.HasPrefix(name, "sha256:") && name > req.URL.Query().Get("last") {
			tags = append(tags, strconv.Quote(name))
		}
	}
	const page = 2
	if len(tags) > page {
		tags = tags[:page]
		last, _ := strconv.Unquote(tags[page-1])
		w.Header().Set("Link", fmt.Sprintf("</v2/%s/tags/list?n=%d&last=%s>; rel=\"next\"", repo, page, last))
	}
	fmt.Fprintf(w, `{"name":%q,"tags":[%s]}`, repo, strings.Join(tags, ","))
}

// Cut lets a registry have the first bytes of a blob alone.
func (r *Registry) Cut(repo, digest string, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blobs[repo][digest] = r.blobs[repo][digest][:bytes]
}
