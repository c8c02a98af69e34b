package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/internal/retry"
)

// sending is a blob on its way to a registry.
type sending struct {
	store *remoteStore
	d     ocispec.Descriptor
	open  opener
	count func(int64)

	location *url.URL // of the upload; nil: none has begun
	at       int64    // bytes of it that the registry has
	unsure   bool     // whether it has more or less
	whole    bool     // the registry takes blobs in one piece alone
	again    bool     // it was begun anew since the registry had put together something else
}

func (s *remoteStore) upload(ctx context.Context, d ocispec.Descriptor, open opener, count func(int64)) error {
	u := &sending{store: s, d: d, open: open, count: count}
	return s.ref.at(s.client.retry(ctx, func() (bool, error) {
		before := u.at
		err := u.send(ctx)
		u.unsure = true
		if u.location == nil { // it was not even begun
			return false, err
		}
		var status *statusError
		switch refused := errors.As(err, &status); {
		case refused && status.status == http.StatusBadRequest && u.again, !refused && !errors.Is(err, ErrNotFound):
			return u.at > before, err
		case refused && status.status == http.StatusBadRequest: // what was put together was something else
			u.again = true
		case refused && u.at == 0:
			u.whole = true
		}
		u.restart() // Docker's registry, for one, takes nothing more after a piece that was cut off
		return false, &retry.Transient{Err: err, Pause: -1}
	}))
}

func (u *sending) restart() {
	u.reached(0)
	u.location, u.unsure = nil, false
}

// reached notes how much the registry has.
func (u *sending) reached(at int64) {
	u.count(at - u.at)
	u.at = at
}

// send goes on from what the registry has to the end.
func (u *sending) send(ctx context.Context) error {
	if u.location != nil && u.unsure && !u.whole {
		if err := u.ask(ctx); err != nil {
			return err
		}
	}
	if u.location == nil || u.whole {
		begin := u.store.address("blobs", "uploads")
		begin.Path += "/"
		resp, err := u.store.do(ctx, request{method: http.MethodPost, url: begin}, http.StatusAccepted)
		if err != nil {
			return err
		}
		if err := u.moved(resp); err != nil {
			return err
		}
	}
	for !u.whole && u.at < u.d.Size {
		if err := u.piece(ctx); err != nil {
			return err
		}
	}
	return u.finish(ctx)
}

// moved follows an upload to the address that the last answer gives.
func (u *sending) moved(resp *http.Response) error {
	defer resp.Body.Close()
	at, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	host := u.store.base.Host
	if err != nil || resp.Header.Get("Location") == "" {
		return fmt.Errorf("%w: %s gives no address to send a layer to", ErrServer, host)
	}
	if u.store.base.Scheme == "https" && at.Scheme != "https" {
		if at.Host != host {
			return fmt.Errorf("%w: %s wants layers sent without TLS, to %.100s", ErrServer, host, at.Host)
		}
		at.Scheme = "https" // what a registry behind a proxy takes itself for
	}
	u.location = at
	return nil
}

// ask finds out how much has arrived of what was cut off.
func (u *sending) ask(ctx context.Context) error {
	resp, err := u.store.do(ctx, request{method: http.MethodGet, url: u.location}, http.StatusNoContent)
	if err != nil {
		return err
	}
	arrived := resp.Header.Get("Range")
	if err := u.moved(resp); err != nil {
		return err
	}
	u.reached(min(arrivedBytes(arrived), u.d.Size))
	u.unsure = false
	return nil
}

// arrivedBytes reads "0-99": 100 bytes. "0-0" stands for none.
func arrivedBytes(header string) int64 {
	_, last, _ := strings.Cut(header, "-")
	n, err := strconv.ParseInt(last, 10, 62)
	if err != nil || n <= 0 {
		return 0
	}
	return n + 1
}

// piece sends one piece.
func (u *sending) piece(ctx context.Context) error {
	size := min(u.store.client.times().piece, u.d.Size-u.at)
	r := u.bytes(ctx, u.at, size)
	r.method, r.url = http.MethodPatch, u.location
	r.header.Set("Content-Range", fmt.Sprintf("%d-%d", u.at, u.at+size-1))
	resp, err := u.watched(ctx, r, http.StatusAccepted)
	if err != nil {
		return err
	}
	if err := u.moved(resp); err != nil {
		return err
	}
	u.reached(u.at + size)
	return nil
}

// finish has the registry compare what it has with the digest.
func (u *sending) finish(ctx context.Context) error {
	r := request{method: http.MethodPut, header: http.Header{}}
	if u.whole {
		r = u.bytes(ctx, 0, u.d.Size)
		r.method = http.MethodPut
	}
	at := *u.location
	query := at.Query()
	query.Set("digest", u.d.Digest.String())
	at.RawQuery = query.Encode()
	r.url = &at
	resp, err := u.watched(ctx, r, http.StatusCreated)
	if err != nil {
		return err
	}
	u.reached(u.d.Size)
	return resp.Body.Close()
}

// bytes makes a request that carries a part of the blob.
func (u *sending) bytes(ctx context.Context, from, size int64) request {
	r := request{header: http.Header{"Content-Type": {"application/octet-stream"}}, size: size}
	r.body = func() (io.ReadCloser, error) {
		body, err := u.open(ctx, from)
		if err != nil {
			return nil, err
		}
		return &struct {
			io.Reader
			io.Closer
		}{io.LimitReader(body, size), body}, nil
	}
	return r
}

// watched asks, and gives up when the registry neither takes anything nor answers.
func (u *sending) watched(ctx context.Context, r request, ok int) (*http.Response, error) {
	ctx, kick, stop := watchdog(ctx, u.store.client.times().stall)
	defer stop()
	if open := r.body; open != nil {
		r.body = func() (io.ReadCloser, error) {
			body, err := open()
			if err != nil {
				return nil, err
			}
			return &kicking{body, kick}, nil
		}
	}
	return u.store.do(ctx, r, ok)
}

// kicking tells a watchdog of every read.
type kicking struct {
	io.ReadCloser
	kick func()
}

func (k *kicking) Read(p []byte) (int, error) {
	k.kick()
	return k.ReadCloser.Read(p)
}
