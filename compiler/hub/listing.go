package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Bounds of what a Hub answers to questions.
const (
	maxAnswerBytes = 64 << 20
	maxPages       = 1000
)

// repo is a repository of which something is wanted.
type repo struct {
	client *Client
	ref    Ref
	commit string
}

// file is what the Hub says of a file at a commit.
type file struct {
	name string
	etag string // sha256 of what is in large file storage, else git's sha1: the blob's name in the cache
	size int64
}

// list finds the commit and all files at it. Those whose name or hash the cache can not hold are there with what was said of them: they matter only if they are needed.
func (r *repo) list(ctx context.Context) ([]file, error) {
	var names []string
	r.commit = r.ref.Revision
	if !r.ref.pinned() {
		var err error
		if names, err = r.resolve(ctx); err != nil {
			return nil, err
		}
	}
	files, err := r.tree(ctx)
	// Some mirrors have no trees.
	if e := (*Error)(nil); errors.As(err, &e) && e.Kind == ErrNotFound {
		if names == nil {
			if again, resolveErr := r.resolve(ctx); resolveErr == nil {
				names = again
			}
		}
		if names != nil {
			files = nil
			for _, name := range names {
				files = append(files, file{name: name, size: -1})
			}
			return files, nil
		}
	}
	return files, err
}

// resolve asks for the commit of the revision, and the names at it.
func (r *repo) resolve(ctx context.Context) ([]string, error) {
	var info struct {
		SHA      string `json:"sha"`
		Siblings []struct {
			Name string `json:"rfilename"`
		} `json:"siblings"`
	}
	u := r.client.path("api", "models", r.ref.Repo, "revision", url.PathEscape(r.ref.Revision))
	if _, err := r.question(ctx, u, &info); err != nil {
		return nil, err
	}
	if !commitID.MatchString(info.SHA) {
		return nil, r.errorf(ErrAnswer, "%s gives %s as the commit: is HF_ENDPOINT the address of a Hub?", r.client.Endpoint.Host, clip(info.SHA))
	}
	if r.ref.pinned() && info.SHA != r.ref.Revision {
		return nil, r.errorf(ErrAnswer, "%s gives commit %s where %s was asked for", r.client.Endpoint.Host, info.SHA, r.ref.Revision)
	}
	if len(info.Siblings) > maxFiles {
		return nil, r.errorf(ErrAnswer, "%d files are listed, at most %d are taken", len(info.Siblings), maxFiles)
	}
	r.commit = info.SHA
	names := []string{}
	for _, s := range info.Siblings {
		names = append(names, s.Name)
	}
	return names, nil
}

// treeEntry is a row of the Hub's listing.
type treeEntry struct {
	Type string `json:"type"`
	Path string `json:"path"`
	OID  string `json:"oid"`
	Size int64  `json:"size"`
	LFS  *struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	} `json:"lfs"`
}

// tree lists the files at the commit, page by page.
func (r *repo) tree(ctx context.Context) ([]file, error) {
	var files []file
	query := url.Values{"recursive": {"true"}}
	for range maxPages {
		u := r.client.path("api", "models", r.ref.Repo, "tree", r.commit)
		u.RawQuery = query.Encode()
		var page []treeEntry
		header, err := r.question(ctx, u, &page)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if e.Type != "file" {
				continue
			}
			f := file{e.Path, e.OID, e.Size}
			if e.LFS != nil {
				f.etag, f.size = e.LFS.OID, e.LFS.Size
			}
			files = append(files, f)
		}
		if len(files) > maxFiles {
			return nil, r.errorf(ErrAnswer, "more than %d files are listed", maxFiles)
		}
		if query = nextPage(header); query == nil {
			return files, nil
		}
	}
	return nil, r.errorf(ErrAnswer, "its files are listed on more than %d pages", maxPages)
}

var nextLink = regexp.MustCompile(`<([^<>]*)>\s*;\s*rel="?next"?`)

// nextPage returns the query of the next page, nil when there is none. The rest of the link is not looked at: behind a mirror it names another host.
func nextPage(header http.Header) url.Values {
	m := nextLink.FindStringSubmatch(strings.Join(header.Values("Link"), ","))
	if m == nil {
		return nil
	}
	u, err := url.Parse(m[1])
	if err != nil || u.Query().Get("cursor") == "" {
		return nil
	}
	return u.Query()
}

// question asks for JSON.
func (r *repo) question(ctx context.Context, u *url.URL, into any) (http.Header, error) {
	tries := attempts{client: r.client, most: askTries}
	for {
		header, err := r.questionOnce(ctx, u, into)
		if err == nil {
			return header, nil
		}
		if err := tries.again(ctx, err); err != nil {
			return nil, err
		}
	}
}

func (r *repo) questionOnce(ctx context.Context, u *url.URL, into any) (http.Header, error) {
	a, err := r.client.ask(ctx, &request{method: http.MethodGet, url: u, timeout: r.client.ListTimeout})
	if err != nil {
		return nil, r.unreached(ctx, err)
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return nil, r.refused(a.Response)
	}
	text, err := io.ReadAll(io.LimitReader(a.Body, maxAnswerBytes+1))
	if err != nil {
		return nil, r.unreached(ctx, err)
	}
	if len(text) > maxAnswerBytes {
		return nil, r.errorf(ErrAnswer, "%s lists more than %s", r.client.Endpoint.Host, freeText(maxAnswerBytes))
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(into); err != nil {
		return nil, r.errorf(ErrAnswer, "%s answers no JSON of a Hub (%s): is HF_ENDPOINT right, is there a proxy that asks to log in?",
			r.client.Endpoint.Host, clip(err.Error()))
	}
	return a.Header, nil
}

// head asks for hash and size of one file, where there is no tree.
func (r *repo) head(ctx context.Context, f *file) error {
	tries := attempts{client: r.client, most: askTries}
	for {
		err := r.headOnce(ctx, f)
		if err == nil {
			return nil
		}
		if err := tries.again(ctx, err); err != nil {
			return about(f.name, err)
		}
	}
}

func (r *repo) headOnce(ctx context.Context, f *file) error {
	linked := func(resp *http.Response) bool {
		return resp.Header.Get("X-Linked-Etag") != "" && resp.Header.Get("X-Linked-Size") != ""
	}
	a, err := r.client.ask(ctx, &request{method: http.MethodHead, url: r.address(f.name), timeout: r.client.ListTimeout, final: linked})
	if err != nil {
		return r.unreached(ctx, err)
	}
	defer a.Body.Close()
	if a.StatusCode >= http.StatusBadRequest {
		return r.refused(a.Response)
	}
	if commit := a.Header.Get("X-Repo-Commit"); commit != "" && commit != r.commit {
		return r.errorf(ErrAnswer, "is given at commit %s, not %s", clip(commit), r.commit)
	}
	etag, size := a.Header.Get("X-Linked-Etag"), a.Header.Get("X-Linked-Size")
	if etag == "" {
		etag = a.Header.Get("ETag")
	}
	if size == "" {
		size = a.Header.Get("Content-Length")
	}
	f.etag = strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)
	if f.size, err = strconv.ParseInt(size, 10, 64); err != nil {
		return r.errorf(ErrAnswer, "%s does not say how large it is", r.client.Endpoint.Host)
	}
	return nil
}

// address is where a file is downloaded.
func (r *repo) address(name string) *url.URL {
	return r.client.path(r.ref.Repo, "resolve", r.commit, escape(name))
}

// check refuses a file that can not be kept, or not be verified.
func (f *file) check(most int64) error {
	if err := checkName(f.name); err != nil {
		return fmt.Errorf("its name %w", err)
	}
	if !commitID.MatchString(f.etag) && !sha256ID.MatchString(f.etag) {
		return fmt.Errorf("its ETag is %s, neither a SHA-256 nor git's SHA-1, so it can not be verified", clip(f.etag))
	}
	if most == 0 {
		most = maxFileBytes
	}
	if f.size < 0 || f.size > most {
		return fmt.Errorf("has %d bytes by the listing, at most %d are read", f.size, most)
	}
	return nil
}
