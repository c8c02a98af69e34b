package hub

import (
	"net/http"
	"strings"
	"time"

	"llmc/internal/retry"
)

// refused makes an error of an answer that is no success.
func (r *repo) refused(resp *http.Response) error {
	code, said := resp.Header.Get("X-Error-Code"), ""
	if message := resp.Header.Get("X-Error-Message"); message != "" {
		said = " (it says: " + clip(message) + ")"
	}
	name := r.ref.Repo
	host := r.client.Endpoint.Host
	switch {
	case code == "RevisionNotFound":
		return r.errorf(ErrNotFound, "has no revision %s: look at %s/tree for its branches and tags", clip(r.ref.Revision), r.page())
	case code == "EntryNotFound":
		return r.errorf(ErrNotFound, "is not there at revision %s any more", clip(r.ref.Revision))
	case code == "GatedRepo":
		return r.gated()
	case strings.Contains(resp.Header.Get("X-Error-Message"), "is disabled"):
		return r.errorf(ErrDenied, "was disabled by the Hub%s", said)
	case resp.StatusCode == http.StatusUnauthorized && strings.Contains(resp.Header.Get("X-Error-Message"), "Invalid credentials"):
		return r.errorf(ErrDenied, "%s does not take the token%s: make a new one at %s/settings/tokens", host, r.tokenSource(), r.client.Endpoint)
	case resp.StatusCode == http.StatusForbidden:
		return r.errorf(ErrDenied, "%s denies access to %s%s%s: a token needs the right to read it", host, name, r.tokenSource(), said)
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusNotFound:
		return r.missing()
	case retry.Passing(resp.StatusCode):
		pause := askedPause(resp, time.Now())
		text := "try again later, what is there is kept"
		if pause > patience {
			text = "try again in " + pause.Round(time.Minute).String()
		}
		if resp.StatusCode == http.StatusTooManyRequests && r.client.Token == "" {
			text += "; with a token (HF_TOKEN) more is allowed"
		}
		return &retry.Transient{Err: r.errorf(ErrServer, "%s answers %d%s: %s%s", host, resp.StatusCode, said, text, r.cachedHint()), Pause: pause}
	}
	kind := ErrAnswer
	if resp.StatusCode == http.StatusMethodNotAllowed || resp.StatusCode == http.StatusNotImplemented {
		kind = ErrNotFound
	}
	return r.errorf(kind, "%s answers %d%s: is HF_ENDPOINT the address of a Hub?", host, resp.StatusCode, said)
}

// page is where people look at the repository.
func (r *repo) page() string { return r.client.Endpoint.JoinPath(r.ref.Repo).String() }

func (r *repo) tokenSource() string {
	if r.client.Token == "" {
		return ""
	}
	return " of " + r.client.TokenFrom
}

func (r *repo) gated() error {
	if r.client.Token == "" {
		return r.errorf(ErrGated, "is gated: accept its licence at %s and set HF_TOKEN to a token of that account", r.page())
	}
	return r.errorf(ErrGated, "is gated, and the account of the token of %s has no access: accept its licence at %s, wait if its authors have to agree, "+
		"and let the token read gated repositories", r.client.TokenFrom, r.page())
}

// missing words what the Hub does not tell apart: that there is no repository, or that it is not for everybody.
func (r *repo) missing() error {
	if r.client.Token == "" {
		return r.errorf(ErrNotFound, "%s has no such model, or it is private: check the name, or set HF_TOKEN to a token that may read it", r.client.Endpoint.Host)
	}
	return r.errorf(ErrNotFound, "%s has no such model, or the token of %s may not read it: check the name and the token", r.client.Endpoint.Host, r.client.TokenFrom)
}
