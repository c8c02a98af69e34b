package ocitest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/opencontainers/go-digest"
)

// referrers lists the manifests whose subject is the one that is named, if the registry does so.
func (r *Registry) referrers(w http.ResponseWriter, _ *http.Request, repo, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.Referrers {
		refuse(w, http.StatusNotFound, "UNSUPPORTED")
		return
	}
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	index.SchemaVersion = 2
	for _, sum := range slices.Sorted(maps.Keys(r.manifests[repo])) {
		var m ocispec.Manifest
		if err := json.Unmarshal(r.manifests[repo][sum].data, &m); err != nil || !strings.HasPrefix(sum, "sha256:") || m.Subject == nil || m.Subject.Digest != digest.Digest(name) {
			continue
		}
		index.Manifests = append(index.Manifests, ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.Digest(sum), Size: int64(len(r.manifests[repo][sum].data)),
			ArtifactType: m.ArtifactType, Annotations: m.Annotations})
	}
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	_ = json.NewEncoder(w).Encode(&index)
}
