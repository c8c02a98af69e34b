package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func (s *remoteStore) has(ctx context.Context, d ocispec.Descriptor) (there bool, err error) {
	err = s.client.retry(ctx, func() (bool, error) {
		resp, err := s.do(ctx, request{method: http.MethodHead, url: s.address("blobs", d.Digest.String())}, http.StatusOK)
		if there = err == nil; errors.Is(err, ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if err := resp.Body.Close(); err != nil {
			return false, s.unreached(ctx, err)
		}
		return false, nil
	})
	return there, s.ref.at(err)
}

func (s *remoteStore) mount(ctx context.Context, d ocispec.Descriptor, from Ref) (done bool, err error) {
	if from.Dir != "" || from.Registry != s.ref.Registry || from.Repository == s.ref.Repository {
		return false, nil
	}
	at := s.address("blobs", "uploads") // with the end that JoinPath takes away
	at.Path += "/"
	at.RawQuery = url.Values{"mount": {d.Digest.String()}, "from": {from.Repository}}.Encode()
	err = s.client.retry(ctx, func() (bool, error) {
		resp, err := s.do(ctx, request{method: http.MethodPost, url: at}, http.StatusCreated, http.StatusAccepted)
		if err != nil {
			return false, err
		}
		done = resp.StatusCode == http.StatusCreated
		return false, resp.Body.Close()
	})
	if errors.Is(err, ErrDenied) || errors.Is(err, ErrNotFound) { // of the other repository
		return false, nil
	}
	return done, s.ref.at(err)
}

func (s *remoteStore) blob(ctx context.Context, d ocispec.Descriptor, from int64) (io.ReadCloser, error) {
	ctx, kick, stop := watchdog(ctx, s.client.times().stall)
	r := request{method: http.MethodGet, url: s.address("blobs", d.Digest.String())}
	if from > 0 {
		r.header = http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", from, d.Size-1)}}
	}
	resp, err := s.do(ctx, r, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		stop()
		return nil, err
	}
	body := &blobBody{s, ctx, resp.Body, kick, stop}
	if resp.StatusCode == http.StatusPartialContent {
		if want := fmt.Sprintf("bytes %d-", from); !strings.HasPrefix(resp.Header.Get("Content-Range"), want) {
			body.Close()
			return nil, fmt.Errorf("%w: %s was asked for %q of a layer and sends %.60q", ErrServer, s.base.Host, want, resp.Header.Get("Content-Range"))
		}
		return body, nil
	}
	if _, err := io.CopyN(io.Discard, body, from); err != nil { // a registry without ranges
		body.Close()
		return nil, err
	}
	return body, nil
}

// blobBody is a blob on its way here, which is given up when it stops to come.
type blobBody struct {
	store *remoteStore
	ctx   context.Context
	body  io.ReadCloser
	kick  func()
	stop  func()
}

func (b *blobBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if n > 0 {
		b.kick()
	}
	if err != nil && err != io.EOF {
		err = b.store.unreached(b.ctx, err)
	}
	return n, err
}

func (b *blobBody) Close() error {
	defer b.stop()
	return b.body.Close()
}
