package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/internal/cachedir"
	"llmc/internal/cli"
)

// layoutStore is a directory in the OCI image layout 1.0: blobs by digest, and index.json with the tags. A blob appears whole or not at all.
type layoutStore struct {
	ref    Ref
	dir    string
	client *Client
}

func (s *layoutStore) path(d digest.Digest) string {
	return filepath.Join(s.dir, ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

func (s *layoutStore) manifest(_ context.Context, want string) (ocispec.Descriptor, []byte, error) {
	d, data, err := s.find(want)
	return d, data, s.ref.at(err)
}

func (s *layoutStore) find(want string) (d ocispec.Descriptor, data []byte, err error) {
	sum := digest.Digest(want)
	if sum.Validate() != nil {
		index, err := s.index()
		if err != nil {
			return d, nil, err
		}
		i := slices.IndexFunc(index.Manifests, func(m ocispec.Descriptor) bool { return m.Annotations[ocispec.AnnotationRefName] == want })
		if i < 0 {
			return d, nil, fmt.Errorf("%w: index.json has no such tag; 'llmc list' shows the tags", ErrNotFound)
		}
		sum = index.Manifests[i].Digest
	}
	if err := checkDigest(sum); err != nil {
		return d, nil, err
	}
	if data, err = readBounded(s.path(sum)); err != nil {
		return d, nil, err
	}
	var kind struct{ MediaType string }
	if err := json.Unmarshal(data, &kind); err != nil {
		return d, nil, fmt.Errorf("%w: %s is no manifest: %w", ErrNoPlan, s.path(sum), err)
	}
	d = digestOf(kind.MediaType, data)
	return d, data, checkManifest(sum.String(), d, "")
}

// checkDigest wants what can name a file.
func checkDigest(d digest.Digest) error {
	if d.Validate() != nil || d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("%w: %.80q is no sha256 digest", ErrNoPlan, d)
	}
	return nil
}

// readBounded reads a manifest.
func readBounded(path string) ([]byte, error) {
	data, err := cli.ReadFile(path, maxManifestBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s", ErrNotFound, path)
	}
	return data, err
}

// index reads index.json.
func (s *layoutStore) index() (index ocispec.Index, err error) {
	data, err := readBounded(filepath.Join(s.dir, ocispec.ImageIndexFile))
	if err != nil {
		return index, err
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return index, fmt.Errorf("%w: index.json: %w", ErrNoPlan, err)
	}
	return index, nil
}

func (s *layoutStore) has(_ context.Context, d ocispec.Descriptor) (bool, error) {
	info, err := os.Stat(s.path(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Mode().IsRegular() && info.Size() == d.Size, s.ref.at(err)
}

func (s *layoutStore) mount(context.Context, ocispec.Descriptor, Ref) (bool, error) {
	return false, nil
}

func (s *layoutStore) blob(_ context.Context, d ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	path := s.path(d.Digest)
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != d.Size {
		return nil, fmt.Errorf("%w: layer %s is not whole in %s", ErrNotFound, d.Digest, s.dir)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (s *layoutStore) upload(ctx context.Context, d ocispec.Descriptor, open opener, count func(int64)) error {
	return s.ref.at(s.client.retry(ctx, func() (bool, error) {
		body, err := open(ctx, 0)
		if err != nil {
			return false, err
		}
		defer body.Close()
		sent := int64(0)
		err = s.write(d.Digest, func(w io.Writer) error {
			sum := digest.SHA256.Digester()
			n, err := io.Copy(io.MultiWriter(w, sum.Hash(), counting(func(n int64) { sent += n; count(n) })), io.LimitReader(contextReader{ctx, body}, d.Size+1))
			if err == nil && (n != d.Size || sum.Digest() != d.Digest) {
				err = fmt.Errorf("%w: a layer is %s of %d bytes and not %s of %d", ErrDigest, sum.Digest(), n, d.Digest, d.Size)
			}
			return err
		})
		if err != nil {
			count(-sent)
		}
		return false, err
	}))
}

// counting is told how many bytes are written.
type counting func(int64)

func (c counting) Write(p []byte) (int, error) {
	c(int64(len(p)))
	return len(p), nil
}

// contextReader reads until a context ends.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// write makes a blob.
func (s *layoutStore) write(d digest.Digest, write func(io.Writer) error) error {
	path := s.path(d)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return cli.WriteFile(path, write)
}

func (s *layoutStore) put(_ context.Context, d ocispec.Descriptor, data []byte, tag string) error {
	return s.ref.at(s.record(d, data, tag))
}

func (s *layoutStore) record(d ocispec.Descriptor, data []byte, tag string) error {
	whole := func(data []byte) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(data); return err }
	}
	if err := s.write(d.Digest, whole(data)); err != nil || tag == "" {
		return err
	}
	lock, err := cachedir.Lock(filepath.Join(s.dir, ".lock"), cachedir.Exclusive)
	if err != nil {
		return err
	}
	defer lock.Close()
	index, err := s.index()
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	d.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	if !companionTag.MatchString(tag) {
		d.ArtifactType = ArtifactType
	}
	index.Versioned, index.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageIndex
	index.Manifests = slices.DeleteFunc(index.Manifests, func(m ocispec.Descriptor) bool { return m.Annotations[ocispec.AnnotationRefName] == tag })
	index.Manifests = append(index.Manifests, d)
	text, err := json.Marshal(&index)
	if err != nil {
		return err
	}
	if err := cli.WriteFile(filepath.Join(s.dir, ocispec.ImageLayoutFile), whole([]byte(`{"imageLayoutVersion":"`+ocispec.ImageLayoutVersion+`"}`))); err != nil {
		return err
	}
	return cli.WriteFile(filepath.Join(s.dir, ocispec.ImageIndexFile), whole(text))
}

func (s *layoutStore) tags(context.Context) ([]string, error) {
	index, err := s.index()
	if err != nil {
		return nil, s.ref.at(err)
	}
	var tags []string
	for _, m := range index.Manifests {
		if tag := m.Annotations[ocispec.AnnotationRefName]; tag != "" && !strings.ContainsFunc(tag, func(r rune) bool { return r <= ' ' }) {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags), nil
}
