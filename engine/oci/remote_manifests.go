package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	maxManifestBytes = 4 << 20 // what registries take, as a rule
	maxTags          = 10000
	tagsPerPage      = "1000"
)

// address returns the address of something of the repository.
func (s *remoteStore) address(parts ...string) *url.URL { return s.base.JoinPath(parts...) }

func (s *remoteStore) manifest(ctx context.Context, want string) (d ocispec.Descriptor, data []byte, err error) {
	err = s.client.retry(ctx, func() (bool, error) {
		resp, err := s.do(ctx, request{method: http.MethodGet, url: s.address("manifests", want),
			header: http.Header{"Accept": {ocispec.MediaTypeImageIndex + ", " + ocispec.MediaTypeImageManifest}}}, http.StatusOK)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		if data, err = io.ReadAll(io.LimitReader(resp.Body, maxManifestBytes+1)); err != nil {
			return false, s.unreached(ctx, err)
		}
		d = digestOf(mediaTypeOf(resp.Header.Get("Content-Type")), data)
		return false, checkManifest(want, d, resp.Header.Get("Docker-Content-Digest"))
	})
	return d, data, s.ref.at(err)
}

func mediaTypeOf(header string) string {
	name, _, _ := strings.Cut(header, ";")
	return strings.TrimSpace(name)
}

// checkManifest holds what came for a tag or digest to it, and to the digest that a registry says that it sends.
func checkManifest(want string, got ocispec.Descriptor, said string) error {
	if got.Size > maxManifestBytes {
		return fmt.Errorf("%w: the manifest has more than %d bytes", ErrNoPlan, maxManifestBytes)
	}
	for _, sum := range []string{want, said} {
		if strings.HasPrefix(sum, string(digest.SHA256)+":") && sum != got.Digest.String() {
			return fmt.Errorf("%w: the manifest that came has digest %s and not %.80s: it was changed on the way or in the registry", ErrDigest, got.Digest, sum)
		}
	}
	return nil
}

func (s *remoteStore) put(ctx context.Context, d ocispec.Descriptor, data []byte, tag string) error {
	if tag == "" {
		tag = d.Digest.String()
	}
	return s.ref.at(s.client.retry(ctx, func() (bool, error) {
		resp, err := s.do(ctx, request{method: http.MethodPut, url: s.address("manifests", tag), header: http.Header{"Content-Type": {d.MediaType}},
			body: bytesBody(data), size: int64(len(data))}, http.StatusCreated, http.StatusOK, http.StatusAccepted)
		if err != nil {
			return false, err
		}
		return false, resp.Body.Close()
	}))
}

func bytesBody(data []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

// nextPage finds the address of the next page in a Link header.
var nextPage = regexp.MustCompile(`<([^>]+)>\s*;\s*rel="?next"?`)

func (s *remoteStore) tags(ctx context.Context) ([]string, error) {
	at := s.address("tags", "list")
	at.RawQuery = "n=" + tagsPerPage
	var tags []string
	for at != nil && len(tags) < maxTags {
		page, next, err := s.tagsPage(ctx, at)
		if err != nil {
			return nil, s.ref.at(err)
		}
		tags = append(tags, page...)
		if at = next; len(page) == 0 {
			break
		}
	}
	tags = slices.DeleteFunc(tags, func(tag string) bool { return !tagPattern.MatchString(tag) })
	slices.Sort(tags)
	return slices.Compact(tags), nil
}

func (s *remoteStore) tagsPage(ctx context.Context, at *url.URL) (tags []string, next *url.URL, err error) {
	err = s.client.retry(ctx, func() (bool, error) {
		resp, err := s.do(ctx, request{method: http.MethodGet, url: at}, http.StatusOK)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		var page struct{ Tags []string }
		if err := json.NewDecoder(io.LimitReader(resp.Body, maxManifestBytes)).Decode(&page); err != nil {
			return false, fmt.Errorf("%w: %s lists its tags in another way: %w", ErrServer, s.base.Host, err)
		}
		tags, next = page.Tags, nil
		if m := nextPage.FindStringSubmatch(resp.Header.Get("Link")); m != nil {
			if next, err = at.Parse(m[1]); err != nil || next.Host != at.Host || next.Scheme != at.Scheme {
				return false, fmt.Errorf("%w: %s names a next page of tags elsewhere", ErrServer, s.base.Host)
			}
		}
		return false, nil
	})
	return tags, next, err
}
