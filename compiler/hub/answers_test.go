package hub

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"llmc/compiler/hub/hubtest"
)

func TestBusyHub(t *testing.T) {
	repo := model()
	s, c := start(t, repo)
	var mu sync.Mutex
	var pauses []time.Duration
	c.wait = func(_ context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		pauses = append(pauses, d)
		return nil
	}
	n := atomic.Int64{}
	answers := []func(http.ResponseWriter){
		func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		func(w http.ResponseWriter) {
			w.Header().Set("RateLimit", `"api";r=0;t=55`)
			w.WriteHeader(http.StatusTooManyRequests)
		},
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
	}
	busy := func(w http.ResponseWriter, _ *http.Request, _ bool) bool {
		if i := n.Add(1) - 1; i < int64(len(answers)) {
			answers[i](w)
			return true
		}
		return false
	}
	s.Before(busy)
	holds(t, c, mustFetch(t, c, testRepo), repo, wanted)
	if len(pauses) != 3 || pauses[0] != 7*time.Second || pauses[1] != 55*time.Second || pauses[2] < firstPause || pauses[2] > longestPause*5/4 {
		t.Errorf("pauses %v", pauses)
	}
}

// What does not pass is given up, with what to do.
func TestDeadHub(t *testing.T) {
	s, _ := start(t, model())
	overloaded := func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }
	for _, c := range []struct {
		answer func(http.ResponseWriter)
		pauses int
		want   []string
	}{
		{overloaded, askTries - 1, []string{"answers 503", "--offline", "commit " + testCommit}},
		{func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}, 0,
			[]string{"answers 429", "try again in 1h0m0s", "HF_TOKEN"}},
		{func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, askTries - 1, []string{"no answer from 127.0.0.1"}},
	} {
		s.Before(func(w http.ResponseWriter, _ *http.Request, _ bool) bool { c.answer(w); return true })
		client := newClient(t, s)
		pauses := 0
		client.wait = func(context.Context, time.Duration) error { pauses++; return nil }
		if slices.Contains(c.want, "--offline") {
			s.Before(nil)
			mustFetch(t, client, testRepo)
			s.Before(func(w http.ResponseWriter, _ *http.Request, _ bool) bool { c.answer(w); return true })
		}
		_, err := fetch(t, client, testRepo)
		wantError(t, err, ErrServer, c.want...)
		if pauses != c.pauses {
			t.Errorf("%d pauses, want %d: %v", pauses, c.pauses, err)
		}
	}
}

func TestDenials(t *testing.T) {
	private := model()
	private.Token = "hf_right"
	gated := model()
	gated.Token, gated.Gated = "hf_right", true
	s := hubtest.Start(t, map[string]*hubtest.Repo{"org/private": private, "org/gated": gated, "org/open": model()})
	for _, c := range []struct {
		ref, token string
		kind       error
		want       []string
	}{
		{"org/none", "", ErrNotFound, []string{"org/none: ", "no such model, or it is private", "set HF_TOKEN"}},
		{"org/private", "", ErrNotFound, []string{"set HF_TOKEN"}},
		{"org/private", "hf_wrong", ErrNotFound, []string{"the token of MY_TOKEN may not read it"}},
		{"org/gated", "", ErrGated, []string{"org/gated: ", "accept its licence at " + s.Hub.URL + "/org/gated and set HF_TOKEN"}},
		{"org/gated", "hf_wrong", ErrGated, []string{"the account of the token of MY_TOKEN has no access"}},
		{"org/open@v9", "", ErrNotFound, []string{"has no revision v9", "/org/open/tree"}},
		{"org/open@" + hubtest.Commit("other"), "", ErrNotFound, []string{"has no revision"}},
	} {
		client := newClient(t, s)
		client.Token, client.TokenFrom = c.token, "MY_TOKEN"
		_, err := fetch(t, client, c.ref)
		wantError(t, err, c.kind, c.want...)
		if c.token != "" && strings.Contains(err.Error(), c.token) {
			t.Errorf("%v tells the token", err)
		}
		if names := leftovers(t, client); len(names) > 0 {
			t.Errorf("%s: %q is left", c.ref, names)
		}
	}
	for _, c := range []struct {
		status        int
		code, message string
		want          string
	}{
		{401, "", "Invalid credentials in Authorization header", "does not take the token of MY_TOKEN"},
		{403, "", "no way", "denies access"},
		{403, "", "Access to this resource is disabled.", "was disabled"},
	} {
		s.Before(func(w http.ResponseWriter, _ *http.Request, _ bool) bool {
			w.Header().Set("X-Error-Message", c.message)
			w.WriteHeader(c.status)
			return true
		})
		client := newClient(t, s)
		client.Token, client.TokenFrom = "hf_x", "MY_TOKEN"
		_, err := fetch(t, client, "org/open")
		wantError(t, err, ErrDenied, c.want)
	}
}
