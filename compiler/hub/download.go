package hub

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"llmc/internal/cli"
	"llmc/internal/retry"
)

// download is one blob on its way into the cache.
type download struct {
	*repo
	file *file
	part *partial
	task *cli.Task

	mu       sync.Mutex
	location *url.URL // where the Hub sent us last, nil to ask it
	counted  atomic.Int64
}

// errNoRanges is the cause of another start, of the file as a whole.
var errNoRanges = errors.New("the server gives no parts of files")

// fetch brings a blob into the cache, unless it is there.
func (r *repo) fetch(ctx context.Context, f *file, task *cli.Task) error {
	path := r.blob(f.etag)
	if hasSize(path, f.size) {
		task.Add(f.size)
		return nil
	}
	lock, err := r.client.takeLock(ctx, r.client.lockPath(r, f.etag), func() {
		r.client.Progress.Say("waiting for another process that downloads %s of %s", f.name, r.ref.Repo)
	})
	if err != nil {
		return err
	}
	defer lock.release()
	if hasSize(path, f.size) {
		task.Add(f.size)
		return nil
	}
	if err := os.MkdirAll(r.folder("blobs"), 0o777); err != nil {
		return err
	}
	name, left := path+".llmc"+partialSuffix, path+partialSuffix
	if !lock.held { // several may write at once: each its own
		random, err := temporaryName(r.folder("blobs"))
		if err != nil {
			return err
		}
		name, left = random+partialSuffix, ""
	}
	d := &download{repo: r, file: f, task: task}
	resumed, err := d.into(ctx, name, left, r.client.pieceBytes)
	if errors.Is(err, errNoRanges) {
		_, err = d.into(ctx, name, "", max(1, f.size))
	} else if errors.Is(err, ErrCorrupt) && resumed { // what was there from before may be what is wrong
		_, err = d.into(ctx, name, "", r.client.pieceBytes)
	}
	if err != nil && !lock.held {
		_, _ = os.Remove(name), os.Remove((&partial{path: name}).marksPath())
	}
	return about(f.name, err)
}

func (c *Client) lockPath(r *repo, etag string) string {
	return c.Cache + "/.locks/" + r.folderName() + "/" + etag + ".lock"
}

// into downloads to a partial file, cut into pieces, and gives it its name; it tells whether an earlier process had begun.
func (d *download) into(ctx context.Context, name, left string, piece int64) (resumed bool, err error) {
	if d.part, err = openPartial(name, d.file.size, piece, left); err != nil {
		return false, err
	}
	defer func() {
		if closeErr := d.part.close(); err == nil {
			err = closeErr
		}
	}()
	resumed = d.part.have() > 0
	d.count(d.part.have())
	sum, err := d.fill(ctx)
	if err != nil {
		if d.counted.Load() == 0 {
			d.part.discard() // nothing to go on from
		}
		return resumed, d.writeError(err)
	}
	if sum != d.file.etag {
		d.part.discard()
		return resumed, d.errorf(ErrCorrupt, "what came has hash %s, the Hub lists %s; it was removed: try again, and if that does not help, the Hub or the mirror is damaged",
			sum, d.file.etag)
	}
	return resumed, d.writeError(d.part.finish(d.blob(d.file.etag)))
}

// count reports bytes; those of a second start were reported before.
func (d *download) count(n int64) {
	now := d.counted.Add(n)
	if over := now - d.file.size; over > 0 {
		n = max(0, n-over)
	}
	if n > 0 {
		d.task.Add(n)
	}
}

// fill downloads the pieces that are not there and hashes all, in order, behind those that bring them.
func (d *download) fill(ctx context.Context) (sum string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pieces := len(d.part.done)
	todo, ready := make(chan int, pieces), make([]chan struct{}, pieces)
	for i, done := range d.part.done {
		ready[i] = make(chan struct{})
		if done {
			close(ready[i])
		} else {
			todo <- i
		}
	}
	close(todo)
	var group sync.WaitGroup
	for range min(len(todo), maxFileConnections) {
		group.Go(func() {
			for i := range todo {
				if err := d.piece(ctx, i); err != nil {
					cancel(err)
					return
				}
				close(ready[i])
			}
		})
	}
	sum, err = d.hash(ctx, ready)
	if err != nil {
		cancel(err)
	}
	group.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return sum, err
}

// hash reads the pieces as they become ready.
func (d *download) hash(ctx context.Context, ready []chan struct{}) (string, error) {
	h := newHash(d.file)
	buf := make([]byte, copyBytes)
	for i, there := range ready {
		select {
		case <-there:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		lo, hi := d.part.bounds(i)
		if _, err := io.CopyBuffer(onlyWriter{h}, io.NewSectionReader(d.part.data, lo, hi-lo), buf); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// onlyWriter hides other methods, so that the buffer that is given is used.
type onlyWriter struct{ io.Writer }

const copyBytes = 256 << 10

// piece downloads one piece, going on where a connection breaks.
func (d *download) piece(ctx context.Context, i int) error {
	at, hi := d.part.bounds(i)
	whole, furthest := len(d.part.done) == 1, at
	tries := attempts{client: d.client, most: fileTries}
	for {
		n, err := d.stream(ctx, at, hi)
		if at += n; at == hi && err == nil {
			return d.part.mark(i)
		}
		if errors.Is(err, errNoRanges) && whole {
			at, err = 0, &retry.Transient{Err: d.errorf(ErrServer, "%s gives no parts of files, and the connection broke: try again", d.client.Endpoint.Host), Pause: -1}
		} else if at > furthest {
			furthest = at
			tries.progress()
		}
		if err := tries.again(ctx, err); err != nil {
			return err
		}
	}
}

// stream asks for bytes [lo, hi) and writes what comes of them.
func (d *download) stream(ctx context.Context, lo, hi int64) (int64, error) {
	select {
	case d.client.connections <- struct{}{}:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	defer func() { <-d.client.connections }()
	req := &request{method: http.MethodGet, url: d.source(), timeout: d.client.DataTimeout}
	if all := lo == 0 && hi == d.file.size; !all {
		req.ranges = fmt.Sprintf("bytes=%d-%d", lo, hi-1)
	}
	a, err := d.client.ask(ctx, req)
	if err != nil {
		d.moved(req.url)
		return 0, d.unreached(ctx, err)
	}
	defer a.Body.Close()
	if err := d.checkAnswer(a, req, lo, hi); err != nil {
		return 0, err
	}
	return d.copy(ctx, a.Body, lo, hi)
}

// source is the address to ask: the one that the Hub sent us to, as long as it holds, since Hubs count what they are asked.
func (d *download) source() *url.URL {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.location != nil {
		return d.location
	}
	return d.address(d.file.name)
}

// moved forgets an address that the Hub gave.
func (d *download) moved(at *url.URL) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.location == at {
		d.location = nil
	}
}

// checkAnswer returns an error unless the body is what was asked for.
func (d *download) checkAnswer(a *answer, req *request, lo, hi int64) error {
	if a.StatusCode != http.StatusOK && a.StatusCode != http.StatusPartialContent {
		return d.refusedPart(a, req)
	}
	if encoding := a.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return d.errorf(ErrAnswer, "%s compresses it (%s) although it was asked not to", a.url.Host, clip(encoding))
	}
	if a.StatusCode == http.StatusOK && req.ranges != "" {
		return errNoRanges
	}
	if a.StatusCode == http.StatusPartialContent {
		var first, last, size int64
		if _, err := fmt.Sscanf(a.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &size); err != nil || first != lo || last >= hi {
			return d.errorf(ErrAnswer, "%s gives range %s where bytes %d-%d were asked for", a.url.Host, clip(a.Header.Get("Content-Range")), lo, hi-1)
		}
		if size != d.file.size {
			return d.errorf(ErrCorrupt, "has %d bytes at %s, %d are listed", size, a.url.Host, d.file.size)
		}
	} else if a.ContentLength >= 0 && a.ContentLength != d.file.size {
		return d.errorf(ErrCorrupt, "has %d bytes at %s, %d are listed", a.ContentLength, a.url.Host, d.file.size)
	}
	if !sameOrigin(a.url, d.client.Endpoint) {
		d.mu.Lock()
		d.location = a.url
		d.mu.Unlock()
	}
	return nil
}

// refusedPart makes an error of an answer that brings nothing.
func (d *download) refusedPart(a *answer, req *request) error {
	if a.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return d.errorf(ErrCorrupt, "is shorter at %s than the %d bytes that are listed", a.url.Host, d.file.size)
	}
	if sameOrigin(a.url, d.client.Endpoint) {
		d.moved(req.url)
		return d.refused(a.Response)
	}
	// Addresses that the Hub signs end: another one is asked for, at once if this was not a new one.
	pause := askedPause(a.Response, time.Now())
	if d.moved(req.url); pause < 0 && req.url.Host == a.url.Host {
		pause = 0
	}
	return &retry.Transient{Err: d.errorf(ErrServer, "%s, where %s sends for it, answers %d: try again, what is there is kept", a.url.Host, d.client.Endpoint.Host, a.StatusCode), Pause: pause}
}

// copy writes the body to its place.
func (d *download) copy(ctx context.Context, body io.Reader, lo, hi int64) (n int64, err error) {
	buf := make([]byte, min(copyBytes, hi-lo+1))
	for lo+n < hi {
		got, readErr := body.Read(buf[:min(int64(len(buf)), hi-lo-n)])
		if got > 0 {
			if _, err := d.part.data.WriteAt(buf[:got], lo+n); err != nil {
				return n, err
			}
			n += int64(got)
			d.count(int64(got))
		}
		if lo+n == hi {
			return n, nil
		}
		if readErr == io.EOF {
			readErr = io.ErrUnexpectedEOF
		}
		if readErr != nil {
			return n, d.unreached(ctx, readErr)
		}
	}
	return n, nil
}
