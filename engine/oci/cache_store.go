package oci

import (
	"context"
	"io"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/internal/cachedir"
)

// cachedStore asks the cache for manifests before the store of a reference, which it opens when it is needed first.
type cachedStore struct {
	store
	cache *Cache
	ref   Ref
}

func (s *cachedStore) behind(ctx context.Context) (store, error) {
	if s.store != nil {
		return s.store, nil
	}
	behind, err := s.cache.client.open(ctx, s.ref, false)
	if err == nil {
		s.store = behind
	}
	return behind, err
}

// manifest looks for a digest in the cache. What comes from elsewhere is kept, if it is an index: a plan's manifest is kept beside the plan.
func (s *cachedStore) manifest(ctx context.Context, want string) (ocispec.Descriptor, []byte, error) {
	sum := digest.Digest(want)
	if strings.HasPrefix(want, "sha256:") && sum.Validate() == nil {
		for _, path := range []string{s.indexPath(sum), filepath.Join(s.cache.entry(sum), "manifest.json")} {
			if data, err := readBounded(path); err == nil && digest.FromBytes(data) == sum {
				return digestOf("", data), data, nil
			}
		}
	}
	behind, err := s.behind(ctx)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	d, data, err := behind.manifest(ctx, want)
	if err != nil {
		return d, nil, err
	}
	if r, err := decode(d, data); err == nil && r.index != nil {
		if err := cachedir.WriteWhole(s.indexPath(d.Digest), data); err != nil {
			return d, nil, err
		}
	}
	return d, data, nil
}

func (s *cachedStore) indexPath(d digest.Digest) string {
	return s.cache.dir.Path("index", d.Encoded()+".json")
}

func (s *cachedStore) blob(ctx context.Context, d ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	behind, err := s.behind(ctx)
	if err != nil {
		return nil, err
	}
	return behind.blob(ctx, d, from)
}

func (s *cachedStore) referrers(ctx context.Context, d digest.Digest) ([]byte, bool, error) {
	behind, err := s.behind(ctx)
	if err != nil {
		return nil, false, err
	}
	return behind.referrers(ctx, d)
}
