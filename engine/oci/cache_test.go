package oci_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"llmc/engine/oci"
	"llmc/internal/cachedir"
)

func get(t testing.TB, c *oci.Client, name string) (*oci.Entry, error) {
	t.Helper()
	cache, err := oci.OpenCache(c)
	check(t, err)
	return cache.Get(t.Context(), ref(t, name), []string{"x86-64-v4-vnni", "x86-64-v3"})
}

// TestCache asks for tags and digests, and counts what goes over the network.
func TestCache(t *testing.T) {
	r, host, c := registry(t)
	pushed := push(t, c, usual.write(t), host+"/models/test:v1")
	r.Take()
	e, err := get(t, c, host+"/models/test:v1")
	check(t, err)
	if got := openPlan(t, e.Path); !slices.Equal(got.Targets("step"), []string{"x86-64-v4-vnni"}) || filepath.Base(e.Path) != "test.plan" {
		t.Errorf("%s has %v", e.Path, got.Targets("step"))
	}
	first := r.Take()
	again, err := get(t, c, host+"/models/test:v1")
	check(t, err)
	if s := r.Take(); again.Path != e.Path || s.Out != 0 || s.Requests["GET manifests"] != 1 || first.Out == 0 {
		t.Errorf("a tag that is cached: %+v", s)
	}
	r.Intercept = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true }
	pinned, err := get(t, c, pushed.Reference)
	check(t, err)
	if _, err := get(t, c, host+"/models/test:v1"); err == nil {
		t.Error("a tag needs no registry")
	}
	r.Intercept = nil
	for _, e := range []*oci.Entry{e, again, pinned} {
		check(t, e.Close())
	}
	code := usual
	code.code = "second"
	push(t, c, code.write(t), host+"/models/test:v1")
	r.Take()
	e, err = get(t, c, host+"/models/test:v1")
	check(t, err)
	defer e.Close()
	if s := r.Take(); s.Out > first.Out/20 {
		t.Errorf("a new version that changes code alone: %d bytes fetched, the first took %d", s.Out, first.Out)
	}
	check(t, openPlan(t, e.Path).Verify(t.Context(), 0, nil))
}

// TestCacheIsBounded wants what was used last and what is in use to stay.
func TestCacheIsBounded(t *testing.T) {
	_, host, c := registry(t)
	size := int64(0)
	for i, tag := range []string{"a", "b", "c", "d"} {
		small := usual
		small.layers, small.changed = 6, i
		plan := small.write(t)
		size = openPlan(t, plan).Header().FileSize
		push(t, c, plan, host+"/models/test:"+tag)
	}
	t.Setenv(cachedir.SizeVariable, strconv.FormatInt(2*size+size/4, 10))
	use := func(tag string) *oci.Entry {
		e, err := get(t, c, host+"/models/test:"+tag)
		check(t, err)
		return e
	}
	there := func(e *oci.Entry) bool { _, err := os.Stat(e.Path); return err == nil }
	a := use("a")
	b := use("b")
	check(t, b.Close())
	third := use("c") // a is older and in use
	if !there(a) || there(b) || !there(third) {
		t.Errorf("in use: %v; not: %v; new: %v", there(a), there(b), there(third))
	}
	_, err := get(t, c, host+"/models/test:d")
	refused(t, err, oci.ErrSpace, "plans in use leave no", cachedir.SizeVariable)
	check(t, a.Close())
	d := use("d")
	if there(a) || !there(third) || !there(d) {
		t.Errorf("released: %v; in use: %v; new: %v", there(a), there(third), there(d))
	}
	t.Setenv(cachedir.SizeVariable, "4096")
	_, err = get(t, c, host+"/models/test:a")
	refused(t, err, oci.ErrSpace, "the cache may hold 4.0 KiB")
	t.Setenv(cachedir.Variable, cachedir.Off)
	if _, err := oci.OpenCache(c); err == nil || !strings.Contains(err.Error(), "llmc pull") {
		t.Errorf("no cache: %v", err)
	}
}

// TestCacheIsShared has many ask for one plan at once: it is fetched once.
func TestCacheIsShared(t *testing.T) {
	r, host, c := registry(t)
	push(t, c, usual.write(t), host+"/models/test:v1")
	r.Take()
	var wg sync.WaitGroup
	var good atomic.Int64
	for range 6 {
		wg.Go(func() {
			cache, err := oci.OpenCache(oci.Quick(&oci.Client{}, nil))
			if err != nil {
				t.Error(err)
				return
			}
			e, err := cache.Get(t.Context(), ref(t, host+"/models/test:v1"), nil)
			if err != nil {
				t.Error(err)
				return
			}
			good.Add(1)
			_ = e.Close()
		})
	}
	wg.Wait()
	if s := r.Take(); good.Load() != 6 || s.Out > 1_200_000 {
		t.Errorf("%d got it, %d bytes fetched", good.Load(), s.Out)
	}
}

// TestCacheRepairs spoils a plan of the cache where opening it shows.
func TestCacheRepairs(t *testing.T) {
	_, host, c := registry(t)
	push(t, c, usual.write(t), host+"/models/test:v1")
	e, err := get(t, c, host+"/models/test:v1")
	check(t, err)
	check(t, e.Close())
	check(t, os.Truncate(e.Path, 100_000))
	e, err = get(t, c, host+"/models/test:v1")
	check(t, err)
	defer e.Close()
	check(t, openPlan(t, e.Path).Verify(t.Context(), 0, nil))
}
