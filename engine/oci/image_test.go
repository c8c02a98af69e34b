package oci_test

import (
	"archive/tar"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/engine/attest"
	"llmc/engine/oci"
	"llmc/engine/sign/signtest"
)

// TestImage unpacks an image as a cluster would, and wants the plan in it.
func TestImage(t *testing.T) {
	_, _, c := registry(t)
	path, dir := provenanced.write(t), t.TempDir()
	plan, at := openPlan(t, path), ref(t, "oci-layout:"+dir+":v1")
	first, err := c.PushImage(t.Context(), plan, "x.plan", at)
	check(t, err)
	again, err := c.PushImage(t.Context(), plan, "x.plan", at)
	check(t, err)
	if first.Uploaded != first.Bytes || again.Uploaded != 0 || again.Digest != first.Digest {
		t.Errorf("%+v, again %+v", first, again)
	}

	blob := func(d ocispec.Descriptor) string {
		return filepath.Join(dir, "blobs", d.Digest.Algorithm().String(), d.Digest.Encoded())
	}
	read := func(path string, to any) {
		data, err := os.ReadFile(path)
		check(t, err)
		check(t, json.Unmarshal(data, to))
	}
	var index ocispec.Index
	var manifest ocispec.Manifest
	var config ocispec.Image
	read(filepath.Join(dir, "index.json"), &index)
	read(blob(index.Manifests[0]), &manifest)
	read(blob(manifest.Config), &config)
	layer := manifest.Layers[0]
	if config.OS != "linux" || config.Architecture != "amd64" || len(manifest.Layers) != 1 || config.RootFS.DiffIDs[0] != layer.Digest || layer.MediaType != ocispec.MediaTypeImageLayer {
		t.Errorf("config %+v of %+v", config, manifest)
	}
	out := filepath.Join(t.TempDir(), "x.plan")
	if names := unpack(t, blob(layer), out); !slices.Equal(names, []string{"models/", "models/x.plan"}) {
		t.Errorf("the layer has %v", names)
	}
	same(t, out, path)

	_, err = c.Pull(t.Context(), at, nil, filepath.Join(t.TempDir(), "y.plan"))
	refused(t, err, oci.ErrNoPlan, "llmc push --image")
	check(t, c.Attach(t.Context(), plan, first, oci.Attach{Kinds: attest.Kinds, Key: signtest.NewPair(t).Private}))
	repo, err := oci.ParseRepository("oci-layout:" + dir)
	check(t, err)
	rows, err := c.List(t.Context(), repo)
	check(t, err)
	if len(rows) != 1 || rows[0].Other == "" {
		t.Errorf("listed: %+v", rows)
	}
}

// unpack writes the one file of an archive and returns the names in it.
func unpack(t *testing.T, archive, out string) (names []string) {
	t.Helper()
	f, err := os.Open(archive)
	check(t, err)
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size()%512 != 0 {
		t.Errorf("the archive has %d bytes, %v", info.Size(), err)
	}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names
		}
		check(t, err)
		names = append(names, h.Name)
		if h.Typeflag == tar.TypeDir {
			continue
		}
		if h.Mode != 0o644 || !h.ModTime.IsZero() && h.ModTime.Unix() != 0 {
			t.Errorf("%s: mode %o, time %v", h.Name, h.Mode, h.ModTime)
		}
		data, err := io.ReadAll(r)
		check(t, err)
		check(t, os.WriteFile(out, data, 0o600))
	}
}
