package oci_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/engine/oci"
	"llmc/engine/oci/ocitest"
	"llmc/internal/cachedir"
)

// TestDistribution is the whole way with Docker's registry: TLS of an own authority, passwords, connections that are severed, layers that are changed where they lie.
func TestDistribution(t *testing.T) {
	host, root, ca := ocitest.Distribution(t)
	t.Setenv(cachedir.Variable, t.TempDir())
	large := usual
	large.bytes = 2_000_000
	plan := large.write(t)
	var cuts atomic.Int64
	front := ocitest.Severing(t, host, 700_000, &cuts)
	ocitest.Login(t, "secret", host, front)
	c := oci.QuickLogin(&oci.Client{CAFile: ca, Cut: oci.Cut{Least: 1 << 20, Most: 4 << 20, Section: 1 << 10}})
	cuts.Store(5)
	pushed := push(t, c, plan, front+"/models/test:v1")
	if cuts.Load() > 0 {
		t.Errorf("%d connections were not severed", cuts.Load())
	}
	if again := push(t, c, plan, host+"/models/test:v2"); again.Uploaded != 0 || again.Digest != pushed.Digest {
		t.Errorf("again: %+v", again)
	}
	cuts.Store(5)
	out := filepath.Join(t.TempDir(), "out.plan")
	_, err := c.Pull(t.Context(), ref(t, front+"/models/test:v1"), nil, out)
	check(t, err)
	same(t, out, plan)
	copied, err := c.Copy(t.Context(), ref(t, host+"/models/test:v1"), ref(t, host+"/stable/test:v1"))
	check(t, err)
	if copied.Uploaded != 0 { // mounted
		t.Errorf("%d bytes were sent for a copy inside the registry", copied.Uploaded)
	}
	repo, err := oci.ParseRepository(host + "/models/test")
	check(t, err)
	if rows, err := c.List(t.Context(), repo); err != nil || len(rows) != 2 || rows[1].Digest != pushed.Digest {
		t.Errorf("%+v, %v", rows, err)
	}
	e, err := get(t, c, host+"/models/test:v1")
	check(t, err)
	check(t, e.Close())
	refusals(t, c, host, root, pushed)
}

// refusals are what Docker's registry must not get through with.
func refusals(t *testing.T, c *oci.Client, host, root string, pushed *oci.Pushed) {
	out := filepath.Join(t.TempDir(), "x.plan")
	_, err := oci.QuickLogin(&oci.Client{}).Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, out)
	refused(t, err, oci.ErrServer, "not trusted", "--ca-file")
	_, err = c.Pull(t.Context(), ref(t, host+"/models/test:none"), nil, out)
	refused(t, err, oci.ErrNotFound, "check the name and the tag")
	ocitest.Login(t, "guess", host)
	_, err = oci.QuickLogin(&oci.Client{CAFile: c.CAFile}).Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, out)
	refused(t, err, oci.ErrDenied, "docker login "+host)
	ocitest.Login(t, "secret", host)
	data, err := os.ReadFile(ocitest.BlobPath(root, pushed.Digest))
	check(t, err)
	var index ocispec.Index
	check(t, json.Unmarshal(data, &index))
	data, err = os.ReadFile(ocitest.BlobPath(root, index.Manifests[0].Digest.String()))
	check(t, err)
	var m ocispec.Manifest
	check(t, json.Unmarshal(data, &m))
	layer := ocitest.BlobPath(root, m.Layers[len(m.Layers)-1].Digest.String())
	data, err = os.ReadFile(layer)
	check(t, err)
	data[len(data)/2] ^= 1
	check(t, os.WriteFile(layer, data, 0o600))
	t.Setenv(cachedir.Variable, t.TempDir())
	_, err = oci.QuickLogin(&oci.Client{CAFile: c.CAFile}).Pull(t.Context(), ref(t, host+"/models/test:v1"), nil, out)
	refused(t, err, oci.ErrDigest, fmt.Sprintf("layer %d of", len(m.Layers)))
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
