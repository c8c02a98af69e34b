package oci_test

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"llmc/engine/oci"
	"llmc/engine/oci/ocitest"
	"llmc/internal/cachedir"
)

// cutting is a proxy before a registry that cuts connections in the middle of layers: each body that passes ends after some bytes, as long as there are cuts left.
func cutting(t *testing.T, host string, after int64, cuts *atomic.Int64) string {
	target, err := url.Parse("http://" + host)
	check(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	proxy.ModifyResponse = func(resp *http.Response) error {
		if resp.Request.Method == http.MethodGet && strings.Contains(resp.Request.URL.Path, "/blobs/sha256") && resp.ContentLength > after && cuts.Add(-1) >= 0 {
			resp.Body = &ending{resp.Body, after}
		}
		return nil
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && r.ContentLength > after && cuts.Add(-1) >= 0 {
			r.Body = &ending{r.Body, after}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return strings.TrimPrefix(front.URL, "http://")
}

// ending is a body that breaks off.
type ending struct {
	io.ReadCloser
	left int64
}

func (e *ending) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := e.ReadCloser.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	return n, err
}

// TestCutConnections wants what arrived before a cut not to be sent again, both ways.
func TestCutConnections(t *testing.T) {
	r, host, c := registry(t)
	plan := usual.write(t)
	var cuts atomic.Int64
	front := cutting(t, host, 10_000, &cuts)
	cuts.Store(5)
	pushed := push(t, c, plan, front+"/models/test:v1")
	if s := r.Take(); cuts.Load() > 0 || s.In > pushed.Bytes+5*40<<10 || s.Requests["GET blobs/uploads"] == 0 {
		t.Errorf("%d cuts left, %d bytes came of %d, %v", cuts.Load(), s.In, pushed.Bytes, s.Requests)
	}
	cuts.Store(20)
	out := filepath.Join(t.TempDir(), "out.plan")
	_, err := c.Pull(t.Context(), ref(t, front+"/models/test:v1"), nil, out)
	check(t, err)
	same(t, out, plan)
	if s := r.Take(); cuts.Load() > 0 || s.Requests["GET blobs"] < 20 {
		t.Errorf("%d cuts left, %v", cuts.Load(), s.Requests)
	}
}

// TestPullGoesOn stops a pull in the middle and wants the next one to fetch the rest alone.
func TestPullGoesOn(t *testing.T) {
	r, host, c := registry(t)
	plan := usual.write(t)
	pushed := push(t, c, plan, host+"/models/test:v1")
	out := filepath.Join(t.TempDir(), "out.plan")
	ctx, cancel := context.WithCancel(t.Context())
	var blobs atomic.Int64
	r.Intercept = func(_ http.ResponseWriter, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "/blobs/sha256") && blobs.Add(1) == 16 {
			cancel()
		}
		return false
	}
	r.Take()
	if _, err := c.Pull(ctx, ref(t, host+"/models/test:v1"), nil, out); err == nil {
		t.Fatal("the pull was not stopped")
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("half a plan has the name of the whole")
	}
	r.Intercept = nil
	before := r.Take().Out
	_, err := c.Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, out)
	check(t, err)
	same(t, out, plan)
	size := openPlan(t, plan).Header().FileSize
	if rest := r.Take().Out; before < size/4 || rest > size-size/5 {
		t.Errorf("%d bytes, then %d of %d", before, rest, pushed.Bytes)
	}
}

// TestOldFilesAreNotTrusted spoils what a stopped pull has left.
func TestOldFilesAreNotTrusted(t *testing.T) {
	_, host, c := registry(t)
	plan := usual.write(t)
	push(t, c, plan, host+"/models/test:v1")
	out := filepath.Join(t.TempDir(), "out.plan")
	pulled, err := c.Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, out)
	check(t, err)
	partial := filepath.Join(filepath.Dir(out), ".out.plan."+pulled.Digest[len("sha256:"):][:12]+".partial")
	check(t, os.WriteFile(partial, make([]byte, 1<<20), 0o644))
	check(t, os.WriteFile(partial+".log", []byte(pulled.Digest+"\n0 100\n1 4096\n5 77777\n6 -1\n999 1\n7 99999999999\nx\n3 "), 0o644))
	check(t, os.Remove(out))
	_, err = c.Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, out)
	check(t, err)
	same(t, out, plan)
}

// TestTampered wants nothing that is not what was named, from registries that lie in each place where they can.
func TestTampered(t *testing.T) {
	plan := usual.write(t)
	for _, c := range []struct {
		what  string
		do    func(t *testing.T, r *ocitest.Registry, m *ocispec.Manifest, whole string)
		kind  error
		words []string
	}{
		{"a layer", func(_ *testing.T, r *ocitest.Registry, m *ocispec.Manifest, _ string) {
			r.Change("models/test", m.Layers[5].Digest.String(), func(b []byte) { b[1000] ^= 1 })
		}, oci.ErrDigest, []string{"layer 6 of", "changed on the way or in the registry"}},
		{"a layer that is short", func(_ *testing.T, r *ocitest.Registry, m *ocispec.Manifest, _ string) {
			r.Cut("models/test", m.Layers[5].Digest.String(), 1000)
		}, oci.ErrServer, []string{"layer 6 of", "1000 of"}},
		{"the manifest", func(_ *testing.T, r *ocitest.Registry, _ *ocispec.Manifest, whole string) {
			r.ChangeManifest("models/test", whole, func(b []byte) []byte { return append(b, ' ') })
		}, oci.ErrDigest, []string{"the manifest that came has digest sha256:"}},
		{"the plan's digest", func(t *testing.T, r *ocitest.Registry, m *ocispec.Manifest, _ string) {
			m.Annotations["io.llmc.plan.digest"] = "sha256:" + strings.Repeat("0", 64)
			data, err := json.Marshal(m)
			check(t, err)
			r.ChangeManifest("models/test", "v1", func([]byte) []byte { return data })
		}, oci.ErrDigest, []string{"the manifest names"}},
		{"an image", func(_ *testing.T, r *ocitest.Registry, m *ocispec.Manifest, _ string) {
			r.ChangeManifest("models/test", "v1", func([]byte) []byte {
				return []byte(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"x","layers":[]}`)
			})
		}, oci.ErrNoPlan, []string{"an image perhaps"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			r, host, client := registry(t)
			push(t, client, plan, host+"/models/test:v1")
			var index ocispec.Index
			check(t, json.Unmarshal(r.Manifest("models/test", "v1"), &index))
			whole := index.Manifests[0].Digest.String()
			var m ocispec.Manifest
			check(t, json.Unmarshal(r.Manifest("models/test", whole), &m))
			c.do(t, r, &m, whole)
			dir := t.TempDir()
			_, err := client.Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, filepath.Join(dir, "out.plan"))
			refused(t, err, c.kind, append(c.words, "oci://"+host+"/models/test:v1: ")...)
			if _, err := os.Stat(filepath.Join(dir, "out.plan")); err == nil {
				t.Error("a plan was written")
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 && c.kind == oci.ErrDigest {
				t.Errorf("left behind: %v", left)
			}
			cache, err := oci.OpenCache(client)
			check(t, err)
			if _, err = cache.Get(t.Context(), ref(t, host+"/models/test:v1"), nil); err == nil {
				t.Error("the cache gives a plan")
			}
			left, _ := filepath.Glob(filepath.Join(os.Getenv(cachedir.Variable), "plans", "*", "plan"))
			if len(left) > 0 {
				t.Errorf("plans in the cache: %v", left)
			}
		})
	}
}

// TestOtherRegistries sends to one that takes no pieces, and fetches from one that knows no ranges.
func TestOtherRegistries(t *testing.T) {
	r, host, c := registry(t)
	r.NoPatch, r.NoRange = true, true
	plan := usual.write(t)
	push(t, c, plan, host+"/models/test:v1")
	var cuts atomic.Int64
	cuts.Store(3)
	out := filepath.Join(t.TempDir(), "out.plan")
	_, err := c.Pull(t.Context(), ref(t, cutting(t, host, 10_000, &cuts)+"/models/test:v1"), nil, out)
	check(t, err)
	same(t, out, plan)
}

// TestStalledRegistry wants a connection that brings nothing to be given up.
func TestStalledRegistry(t *testing.T) {
	r, host, c := registry(t)
	small := usual
	small.layers = 2
	plan := small.write(t)
	push(t, c, plan, host+"/models/test:v1")
	var first atomic.Bool
	r.Intercept = func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.Path, "/blobs/sha256") || first.Swap(true) {
			return false
		}
		w.Header().Set("Content-Length", "1000000")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-req.Context().Done()
		return true
	}
	out := filepath.Join(t.TempDir(), "out.plan")
	_, err := c.Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, out)
	check(t, err)
	same(t, out, plan)
}

// TestAuthentication asks with a name and a password, with a token, and without either.
func TestAuthentication(t *testing.T) {
	for _, kind := range []string{"basic", "bearer"} {
		r, host, _ := registry(t)
		tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if name, password, _ := req.BasicAuth(); name != "me" || password != "secret" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]string{"token": "T" + req.URL.Query().Get("scope")})
		}))
		defer tokens.Close()
		r.Intercept = func(w http.ResponseWriter, req *http.Request) bool {
			name, password, _ := req.BasicAuth()
			if kind == "basic" && name == "me" && password == "secret" || kind == "bearer" && strings.HasPrefix(req.Header.Get("Authorization"), "Bearer Trepository:models/test:pull") {
				return false
			}
			challenge := `Basic realm="test"`
			if kind == "bearer" {
				challenge = `Bearer realm="` + tokens.URL + `/token",service="test",scope="repository:models/test:pull"`
			}
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		small := usual
		small.layers = 2
		plan := small.write(t)
		with := func(password string) *oci.Client {
			return oci.Quick(&oci.Client{}, auth.StaticCredential(host, auth.Credential{Username: "me", Password: password}))
		}
		push(t, with("secret"), plan, host+"/models/test:v1")
		_, err := with("guess").Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, filepath.Join(t.TempDir(), "x"))
		refused(t, err, oci.ErrDenied, "docker login "+host)
		_, err = oci.Quick(&oci.Client{}, nil).Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, filepath.Join(t.TempDir(), "x"))
		refused(t, err, oci.ErrDenied, "docker login "+host)
	}
}
