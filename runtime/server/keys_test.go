package server

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"llmc/runtime/metrics"
)

func writeKeys(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

func loadTestKeys(t *testing.T, text string) (keys *Keys, path string, log *bytes.Buffer) {
	t.Helper()
	path, log = filepath.Join(t.TempDir(), "keys"), &bytes.Buffer{}
	writeKeys(t, path, text)
	keys, err := LoadKeys(path, slog.New(slog.NewTextHandler(log, nil)))
	must(t, err)
	keys.rules.every = 0 // look at the file every time
	return keys, path, log
}

func TestKeyOf(t *testing.T) {
	keys, _, _ := loadTestKeys(t, "# ours\nsk-one\n\n  sk-two \r\nsk-three")
	for header, want := range map[string]bool{
		"Bearer sk-one": true, "bearer sk-two": true, "Bearer  sk-three ": true,
		"": false, "Bearer": false, "Bearer ": false, "sk-one": false, "Basic sk-one": false, "Bearer sk-on": false,
		"Bearer sk-one2": false, "Bearer # ours": false, "Bearer sk-one\x00": false, "Bearer Bearer sk-one": false,
	} {
		if keys.accept([]byte(header)) != want {
			t.Errorf("%q: want %v", header, want)
		}
	}
}

func TestKeysAreReadAgain(t *testing.T) {
	keys, path, log := loadTestKeys(t, "old\n")
	writeKeys(t, path, "new key\nother\n")
	if keys.accept([]byte("Bearer old")) || !keys.accept([]byte("Bearer new key")) {
		t.Error("the new file was not taken over")
	}
	writeKeys(t, path, "# nothing\n")
	if !keys.accept([]byte("Bearer other")) || !strings.Contains(log.String(), "api keys unchanged") {
		t.Errorf("an empty file must change nothing and be told: %s", log)
	}
	must(t, os.Remove(path))
	if !keys.accept([]byte("Bearer other")) {
		t.Error("a removed file must change nothing")
	}
	writeKeys(t, path, "back\n")
	if keys.accept([]byte("Bearer other")) || !keys.accept([]byte("Bearer back")) {
		t.Error("the file that came back was not taken over")
	}
}

func TestKeyFilesThatCanNotBeUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	writeKeys(t, path, " \n#\n")
	for _, p := range []string{path, path + ".missing"} {
		if _, err := LoadKeys(p, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// Every route of the table, and unknown ones, are closed without a key, but for those open on purpose.
func TestRoutesNeedKey(t *testing.T) {
	keys, _, _ := loadTestKeys(t, "secret\n")
	ts := startServer(t, &fakeBackend{}, Config{Keys: keys, Metrics: metrics.New()})
	open := map[string]bool{"GET /": true, "GET /stats": true, "GET /health": true, "GET /ping": true, "GET /livez": true, "GET /readyz": true, "GET /startupz": true, "GET /v2/health/live": true, "GET /v2/health/ready": true}
	paths := []string{"GET /nowhere", "POST /v1/completions/", "DELETE /v1/models"}
	for _, r := range routes {
		paths = append(paths, r.method+" "+strings.NewReplacer("{model:*}", "tiny", "{model}", "tiny", "{version}", "1").Replace(r.path))
	}
	for _, p := range paths {
		method, path, _ := strings.Cut(p, " ")
		for _, key := range []string{"X-None: 1", "Authorization: Bearer wrong", "Authorization: Basic secret", "X-Api-Key: secret"} {
			a := ts.do(method, path, "{}", key)
			if refused := a.status == 401; refused == open[p] {
				t.Errorf("%s with %q: status %d", p, key, a.status)
			}
			if a.status == 401 {
				if strings.Contains(a.body, `{"error":"this`) { // in other words than those of the OpenAI API
					if a.header.Get("Www-Authenticate") != "Bearer" {
						t.Errorf("%s: %s", p, a.body)
					}
				} else if e := a.errorOf(t); e["code"] != "invalid_api_key" || a.header.Get("Www-Authenticate") != "Bearer" {
					t.Errorf("%s: %s", p, a.body)
				}
			}
		}
		if a := ts.do(method, path, "{}", "Authorization: Bearer secret"); a.status == 401 {
			t.Errorf("%s refused with a key", p)
		}
	}
}

func TestOpenMetrics(t *testing.T) {
	keys, _, _ := loadTestKeys(t, "secret\n")
	ts := startServer(t, &fakeBackend{}, Config{Keys: keys, Metrics: metrics.New(), OpenMetrics: true})
	if a := ts.do("GET", "/metrics", ""); a.status != 200 {
		t.Errorf("status %d", a.status)
	}
	if a := ts.do("GET", "/version", ""); a.status != 401 {
		t.Errorf("/version: status %d", a.status)
	}
}

// A stranger may not make the server hold a large body.
func TestStrangerBody(t *testing.T) {
	keys, _, _ := loadTestKeys(t, "secret\n")
	ts := startServer(t, &fakeBackend{}, Config{Keys: keys})
	body := `{"prompt":"x","user":"` + strings.Repeat("u", strangerBody) + `"}`
	c := ts.dial().send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(body))
	if resp := c.response(); resp.StatusCode != 413 { // answered although nothing of the body was sent
		t.Errorf("status %d", resp.StatusCode)
	}
	if a := ts.do("POST", "/v1/completions", body, "Authorization: Bearer secret"); a.status != 200 {
		t.Errorf("with a key: status %d: %s", a.status, a.body)
	}
}

// What a line says of its key holds for its requests.
func TestKeyOptions(t *testing.T) {
	keys, _, _ := loadTestKeys(t, "plain\nlimited\tmax-concurrent=1 priority=5\nslow\trequests-per-minute=2\nopen\tprefix-cache=shared\n")
	b := &fakeBackend{gate: make(chan struct{})}
	ts := startServer(t, b, Config{Keys: keys})
	ask := func(key, extra string) answer {
		return ts.do("POST", "/v1/completions", `{"prompt":"x","max_tokens":1`+extra+`}`, "Authorization: Bearer "+key)
	}
	first := ts.open("POST", "/v1/completions", `{"prompt":"x","stream":true}`, "Authorization: Bearer limited")
	if a := ask("limited", ""); a.status != 429 || a.errorOf(t)["code"] != "too_many_concurrent_requests" || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	close(b.gate)
	if _, err := io.Copy(io.Discard, first.Body); err != nil {
		t.Error(err)
	}
	must(t, first.Body.Close())
	eventually(t, "the key's request to end", func() bool { return ask("limited", "").status == 200 })
	if r := b.last(); r.Priority != 5 || r.CacheSalt == "" {
		t.Errorf("%+v", r)
	}
	ask("limited", `,"priority":9`)
	if r := b.last(); r.Priority != 9 {
		t.Errorf("priority %d", r.Priority)
	}
	salt := b.last().CacheSalt
	ask("plain", `,"cache_salt":"s"`)
	if other := b.last().CacheSalt; other == salt || !strings.HasSuffix(other, "s") || len(other) == 1 {
		t.Errorf("salts %q and %q", salt, other)
	}
	if ask("open", ""); b.last().CacheSalt != "" {
		t.Errorf("salt %q of a key that shares", b.last().CacheSalt)
	}
	for i := range 3 {
		a := ask("slow", "")
		if want := []int{200, 200, 429}[i]; a.status != want {
			t.Errorf("request %d: %d %s", i, a.status, a.body)
		}
	}
	// A minute later, in the server's clock, there is room again.
	ts.now = func() time.Time { return time.Unix(1_700_000_061, 0) }
	if a := ask("slow", ""); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, text := range []string{"key\tno-such=1", "key\tpriority=x", "key\trequests-per-minute=0", "key\tmax-concurrent=-1", "key\tprefix-cache=none"} {
		if _, err := parseKeys([][]byte{[]byte(text)}); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
