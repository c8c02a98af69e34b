package oci

import (
	"encoding/json"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestParseRef(t *testing.T) {
	sum := "sha256:" + strings.Repeat("0a", 32)
	for text, want := range map[string]string{
		"oci://registry.example/a/b:v1": "oci://registry.example/a/b:v1", "registry.example/a/b": "oci://registry.example/a/b:latest",
		"localhost:5000/x@" + sum: "oci://localhost:5000/x@" + sum, "localhost:5000/x:v1@" + sum: "oci://localhost:5000/x:v1@" + sum,
		"oci-layout:./store:v1": "oci-layout:store:v1", "oci-layout:/a:b/store": "oci-layout:/a:b/store:latest", "[::1]:5000/x:v2": "oci://[::1]:5000/x:v2",
	} {
		r, err := ParseRef(text)
		if err != nil || r.String() != want {
			t.Errorf("%s is %s, %v; want %s", text, r, err, want)
		}
		if again, err := ParseRef(r.String()); err != nil || again != r {
			t.Errorf("%s again is %+v, %v", r, again, err)
		}
	}
	for _, text := range []string{"", "x", "oci://", "oci://a", "oci-layout:", "a.example/X:v1", "a.example/../x:v1", "a.example/x:-v", "a.example/x@sha256:00", "a.example/x@md5:00",
		"a.example/x\n:v1", "a.example/" + strings.Repeat("x", 2000), "a.example/x:v1:v2", "https://a.example/x:v1"} {
		if r, err := ParseRef(text); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40q is %+v, %v", text, r, err)
		}
	}
	for text, local := range map[string]bool{"localhost/x": true, "127.3.2.1:5000/x": true, "[::1]:1/x": true, "10.0.0.1/x": false, "localhost.example/x": false} {
		if r, err := ParseRef(text); err != nil || r.onLoopback() != local {
			t.Errorf("%s: on this machine: %v, %v", text, r.onLoopback(), err)
		}
	}
}

// FuzzManifest reads manifests and indexes that nobody has made.
func FuzzManifest(f *testing.F) {
	layer := `{"mediaType":"x","digest":"sha256:` + strings.Repeat("0a", 32) + `","size":3}`
	for _, text := range []string{
		`{"mediaType":"` + ocispec.MediaTypeImageManifest + `","artifactType":"` + ArtifactType + `","annotations":{"io.llmc.plan.digest":"x"},"layers":[` + layer + `]}`,
		`{"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[{"digest":"sha256:` + strings.Repeat("0a", 32) + `","size":3,"annotations":{"io.llmc.plan.digest":"x","io.llmc.target":"sm90"}}]}`,
		`{}`, `[]`, `{"mediaType":"` + ocispec.MediaTypeImageManifest + `","layers":[{"size":-1}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(digestOf("", data), data)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q", err)
			}
			return
		}
		if r.plan != nil {
			if size := planSize(r.plan); size <= 0 || size > maxPlanBytes {
				t.Errorf("a plan of %d bytes", size)
			}
			return
		}
		for _, targets := range [][]string{nil, {"sm90"}, {"x86-64-v3"}} {
			if d, err := choose(r.index, targets); err == nil && checkDigest(d.Digest) != nil {
				t.Errorf("chose %+v", d)
			}
		}
	})
}

// TestManifestBounds wants the limits that memory depends on.
func TestManifestBounds(t *testing.T) {
	good := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: ArtifactType, Annotations: map[string]string{planDigestKey: "x"},
		Layers: []ocispec.Descriptor{digestOf("x", []byte("abc"))}}
	for what, change := range map[string]func(m *ocispec.Manifest){
		"":                  func(*ocispec.Manifest) {},
		"from 1 to":         func(m *ocispec.Manifest) { m.Layers = make([]ocispec.Descriptor, maxLayers+1) },
		"is no sha256":      func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../x" },
		"layer 0 has":       func(m *ocispec.Manifest) { m.Layers[0].Size = 0 },
		"layer 1 has":       func(m *ocispec.Manifest) { m.Layers[0].Size = maxPlanBytes; m.Layers = append(m.Layers, m.Layers[0]) },
		"llmc push did not": func(m *ocispec.Manifest) { m.Annotations = nil },
	} {
		m := good
		m.Layers = append([]ocispec.Descriptor(nil), good.Layers...)
		change(&m)
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(digestOf("", data), data); (err == nil) != (what == "") || err != nil && !strings.Contains(err.Error(), what) {
			t.Errorf("%q: %v", what, err)
		}
	}
}
