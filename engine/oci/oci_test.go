package oci_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/engine/oci"
)

// TestRoundTrip wants the plan back byte by byte, and nothing sent twice.
func TestRoundTrip(t *testing.T) {
	r, host, c := registry(t)
	plan := usual.write(t)
	name := host + "/models/test:v1"
	first := push(t, c, plan, name)
	sent := r.Take()
	if first.Uploaded != first.Bytes || sent.In != first.Bytes || first.Layers < 12 {
		t.Errorf("%d bytes in %d layers, %d uploaded, %d came", first.Bytes, first.Layers, first.Uploaded, sent.In)
	}
	again := push(t, c, plan, name)
	if s := r.Take(); again.Uploaded != 0 || s.In != 0 || again.Digest != first.Digest {
		t.Errorf("the same plan again: %+v, %d bytes came", again, s.In)
	}
	out := filepath.Join(t.TempDir(), "out.plan")
	pulled, err := c.Pull(t.Context(), ref(t, "oci://"+name), nil, out)
	check(t, err)
	same(t, out, plan)
	if pulled.Plan != openPlan(t, plan).Digest() || pulled.Reference != first.Reference {
		t.Errorf("%+v after %+v", pulled, first)
	}
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 1 {
		t.Errorf("left beside the plan: %v", left)
	}
}

// TestNewVersionSendsWhatChanged counts bytes at the registry.
func TestNewVersionSendsWhatChanged(t *testing.T) {
	r, host, _ := registry(t)
	c := oci.Quick(&oci.Client{Cut: oci.Cut{Least: 128 << 10, Most: 512 << 10, Section: 4 << 10}}, nil)
	large := usual
	large.bytes = 400_000
	first := push(t, c, large.write(t), host+"/models/test:v1")
	r.Take()
	code := large
	code.code = "second, and longer than the first"
	push(t, c, code.write(t), host+"/models/test:v2")
	if s := r.Take(); s.In == 0 || s.In > first.Bytes/100 {
		t.Errorf("new code: %d bytes sent of %d, more than one in a hundred", s.In, first.Bytes)
	}
	weights := code
	weights.changed = 7
	push(t, c, weights.write(t), host+"/models/test:v3")
	if s := r.Take(); s.In < large.bytes || s.In > first.Bytes/100+2*512<<10 {
		t.Errorf("one weight of %d bytes changed: %d sent of %d", large.bytes, s.In, first.Bytes)
	}
	longer := weights
	longer.layers++ // what is behind the other weights
	push(t, c, longer.write(t), host+"/models/test:v4")
	if s := r.Take(); s.In > first.Bytes/100+2*512<<10 {
		t.Errorf("one weight more: %d sent of %d", s.In, first.Bytes)
	}
}

// TestTargets wants a manifest for each target, with layers that they share, and each a plan that has its program alone.
func TestTargets(t *testing.T) {
	r, host, c := registry(t)
	plan := usual.write(t)
	pushed := push(t, c, plan, host+"/models/test:v1")
	if !slices.Equal(pushed.Targets, usual.targets) || pushed.Bytes > openPlan(t, plan).Header().FileSize*102/100 {
		t.Errorf("targets %v in %d bytes, the plan has %d", pushed.Targets, pushed.Bytes, openPlan(t, plan).Header().FileSize)
	}
	var index ocispec.Index
	check(t, json.Unmarshal(r.Manifest("models/test", "v1"), &index))
	if len(index.Manifests) != 3 || index.Manifests[0].Platform != nil {
		t.Fatalf("index %+v", index)
	}
	for i, variant := range []string{"v3", "v4"} {
		p := index.Manifests[i+1].Platform
		if p == nil || p.Architecture != "amd64" || p.OS != "linux" || p.Variant != variant || slices.Contains(p.OSFeatures, "avx512_vnni") != (variant == "v4") {
			t.Errorf("platform %+v", p)
		}
	}
	for _, target := range usual.targets {
		out := filepath.Join(t.TempDir(), "out.plan")
		_, err := c.Pull(t.Context(), ref(t, host+"/models/test:v1"), []string{"sm90", target}, out)
		check(t, err)
		part := openPlan(t, out)
		check(t, part.Verify(t.Context(), 0, nil))
		if got := part.Targets("step"); !slices.Equal(got, []string{target}) {
			t.Errorf("the plan for %s has %v", target, got)
		}
		if _, err := part.Program("step", target); err != nil {
			t.Error(err)
		}
	}
	_, err := c.Pull(t.Context(), ref(t, host+"/models/test:v1"), []string{"sm90"}, filepath.Join(t.TempDir(), "x"))
	refused(t, err, oci.ErrTarget, "x86-64-v3, x86-64-v4-vnni", "sm90")
}

// refused wants an error of a kind, in one line that says some words.
func refused(t testing.TB, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v; want %v", err, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q lacks %q", err, w)
		}
	}
}

// TestLayout keeps plans in a directory, and copies them between it and registries.
func TestLayout(t *testing.T) {
	r, host, c := registry(t)
	plan, dir := usual.write(t), t.TempDir()
	pushed := push(t, c, plan, "oci-layout:"+dir+":v1")
	there, err := c.Copy(t.Context(), ref(t, "oci-layout:"+dir+":v1"), ref(t, host+"/models/test:v1"))
	check(t, err)
	if there.Digest != pushed.Digest || there.Uploaded != pushed.Bytes || r.Take().In != pushed.Bytes {
		t.Errorf("copied %+v of %+v", there, pushed)
	}
	if _, err := c.Copy(t.Context(), ref(t, host+"/models/test:v1"), ref(t, host+"/others/test:stable")); err != nil {
		t.Fatal(err)
	}
	if s := r.Take(); s.In != 0 || s.Out != 0 {
		t.Errorf("%d bytes in and %d out for a copy inside a registry", s.In, s.Out)
	}
	back := "oci-layout:" + t.TempDir() + ":v9"
	_, err = c.Copy(t.Context(), ref(t, host+"/others/test@"+pushed.Digest), ref(t, back))
	check(t, err)
	out := filepath.Join(t.TempDir(), "out.plan")
	_, err = c.Pull(t.Context(), ref(t, back), nil, out)
	check(t, err)
	same(t, out, plan)
}

// TestList goes through pages, and names what is no plan.
func TestList(t *testing.T) {
	r, host, c := registry(t)
	plan := usual.write(t)
	for _, tag := range []string{"v1", "v2", "v3"} {
		push(t, c, plan, host+"/models/test:"+tag)
	}
	r.ChangeManifest("models/test", "other", func([]byte) []byte { return []byte(`{"mediaType":"application/x","schemaVersion":2}`) })
	repo, err := oci.ParseRepository("oci://" + host + "/models/test")
	check(t, err)
	rows, err := c.List(t.Context(), repo)
	check(t, err)
	var tags []string
	for _, row := range rows {
		tags = append(tags, row.Tag)
		if plan := row.Tag != "other"; plan != (row.Plan == openPlan(t, usual.write(t)).Digest()) || plan == (row.Other != "") {
			t.Errorf("%+v", row)
		}
	}
	if !slices.Equal(tags, []string{"other", "v1", "v2", "v3"}) {
		t.Errorf("tags %v", tags)
	}
}

// TestRetries has every question fail twice, in the ways that pass.
func TestRetries(t *testing.T) {
	r, host, c := registry(t)
	var mu sync.Mutex
	asked := map[string]int{}
	r.Intercept = func(w http.ResponseWriter, req *http.Request) bool {
		mu.Lock()
		key := req.Method + " " + req.URL.Path + req.Header.Get("Content-Range")
		asked[key]++
		n := asked[key]
		mu.Unlock()
		switch n {
		case 1:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.WriteHeader(http.StatusBadGateway)
		case 3:
			panic(http.ErrAbortHandler)
		}
		return n <= 3
	}
	small := usual
	small.layers = 4
	plan := small.write(t)
	push(t, c, plan, host+"/models/test:v1")
	out := filepath.Join(t.TempDir(), "out.plan")
	_, err := c.Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, out)
	check(t, err)
	same(t, out, plan)
	r.Intercept = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	_, err = c.Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, out+"2")
	refused(t, err, oci.ErrServer, "503", "try again in 1h0m0s")
}
