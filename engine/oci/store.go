package oci

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"llmc/engine/sign"
	"llmc/internal/cli"
)

// Client reaches registries and layouts. Methods may be called by several goroutines.
type Client struct {
	Progress  *cli.Progress
	PlainHTTP bool         // speak HTTP also with registries that are not on this machine
	CAFile    string       // PEM certificates that are trusted beside the system's
	Cut       Cut          // zero: DefaultCut
	Policy    *sign.Policy // whose signatures plans need; nil: none

	credential auth.CredentialFunc // nil: what Docker's configuration says
	schedule   *schedule           // nil: the usual one
}

// opener opens a blob's bytes from one on.
type opener func(ctx context.Context, from int64) (io.ReadCloser, error)

// store is where blobs and manifests are: a repository of a registry, or a directory. What it gives is not checked against digests but by who asks.
type store interface {
	// manifest returns what a tag or a digest names, at most maxManifestBytes, checked against the digest, which it returns.
	manifest(ctx context.Context, want string) (ocispec.Descriptor, []byte, error)
	// has tells whether a blob is there.
	has(ctx context.Context, d ocispec.Descriptor) (bool, error)
	// blob opens a blob at a byte. Errors of it and of what it returns are transient where another try may help.
	blob(ctx context.Context, d ocispec.Descriptor, from int64) (io.ReadCloser, error)
	// upload stores a blob, tries again, and goes on where it was cut off. count is told of bytes that have arrived, and of those that have turned out not to.
	upload(ctx context.Context, d ocispec.Descriptor, open opener, count func(int64)) error
	// mount makes a blob of another repository of the same registry appear here, if the registry can.
	mount(ctx context.Context, d ocispec.Descriptor, from Ref) (bool, error)
	// put stores a manifest, under a tag unless that is "".
	put(ctx context.Context, d ocispec.Descriptor, data []byte, tag string) error
	tags(ctx context.Context) ([]string, error)
	// referrers returns the registry's own index of what refers to a manifest, where it keeps one (native).
	referrers(ctx context.Context, d digest.Digest) (data []byte, native bool, err error)
}

// open returns the store of a reference. write says what credentials are asked for.
func (c *Client) open(ctx context.Context, ref Ref, write bool) (store, error) {
	if ref.Dir != "" {
		return &layoutStore{ref: ref, dir: ref.Dir, client: c}, nil
	}
	return c.openRemote(ctx, ref, write)
}

func (c *Client) cut() Cut {
	if c.Cut == (Cut{}) {
		return DefaultCut
	}
	return c.Cut
}

// credentials returns what Docker's configuration and its helpers know of registries.
func (c *Client) credentials() (auth.CredentialFunc, error) {
	if c.credential != nil {
		return c.credential, nil
	}
	s, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, err
	}
	return credentials.Credential(s), nil
}

// at says of an error which reference it is about.
func (r Ref) at(err error) error {
	if err == nil {
		return nil
	}
	return &refError{r, err}
}

type refError struct {
	ref Ref
	err error
}

func (e *refError) Error() string { return e.ref.String() + ": " + e.err.Error() }
func (e *refError) Unwrap() error { return e.err }

// digestOf describes bytes.
func digestOf(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}
