package server

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"llmc/runtime"
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
	keys.rules.every, keys.rules.rest = 0, 0 // look at the file every time
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

// A file that is being written is not read before it has been left alone for a while: half of a key would be one. A time in the future, of another machine's clock, keeps nothing from
// being read.
func TestKeysAreReadWhenTheyRest(t *testing.T) {
	keys, path, _ := loadTestKeys(t, "old key\n")
	keys.rules.rest = time.Hour
	writeKeys(t, path, "new")
	if !keys.accept([]byte("Bearer old key")) || keys.accept([]byte("Bearer new")) {
		t.Error("half a file was taken over")
	}
	writeKeys(t, path, "new key\n")
	for _, age := range []time.Duration{2 * time.Hour, -time.Minute} {
		must(t, os.Chtimes(path, time.Time{}, time.Now().Add(-age)))
		if keys.accept([]byte("Bearer old key")) || !keys.accept([]byte("Bearer new key")) {
			t.Errorf("the file was not taken over at an age of %v", age)
		}
		writeKeys(t, path, "old key\n")
		must(t, os.Chtimes(path, time.Time{}, time.Now().Add(-3*time.Hour)))
		if !keys.accept([]byte("Bearer old key")) {
			t.Fatal("the file was not taken over")
		}
		writeKeys(t, path, "new key\n")
	}
}

func TestKeyFilesThatCanNotBeUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	writeKeys(t, path, " \n#\n")
	pipe := path + ".pipe"
	must(t, syscall.Mkfifo(pipe, 0o600))
	large := path + ".large"
	writeKeys(t, large, "key\n")
	must(t, os.Truncate(large, reloadBytes+1))
	for _, p := range []string{path, path + ".missing", filepath.Dir(path), pipe, large} {
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
	if resp := c.response(); resp.StatusCode != 401 { // answered although nothing of the body was sent
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

// Tokens are counted by the minute: what a request may use is reserved, what it did not use is given back, and OpenAI's headers tell what is left.
func TestTokenQuotas(t *testing.T) {
	keys, _, _ := loadTestKeys(t, "k\ttokens-per-minute=100 requests-per-minute=50 share=3\nfree\n")
	ts := startServer(t, &fakeBackend{}, Config{Keys: keys})
	now := time.Unix(1_700_000_000, 0)
	ts.now = func() time.Time { return now }
	ask := func(body string) answer {
		return ts.do("POST", "/v1/completions", body, "Authorization: Bearer k")
	}
	left := func(a answer) string { return a.header.Get("X-Ratelimit-Remaining-Tokens") }
	a := ask(`{"prompt":"123456789","max_tokens":40}`) // 10 tokens with the first
	if a.status != 200 || left(a) != "50" || a.header.Get("X-Ratelimit-Limit-Tokens") != "100" || a.header.Get("X-Ratelimit-Reset-Tokens") != "30s" ||
		a.header.Get("X-Ratelimit-Limit-Requests") != "50" || a.header.Get("X-Ratelimit-Remaining-Requests") != "49" || a.header.Get("X-Ratelimit-Reset-Requests") != "1.2s" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if r := ts.backend.last(); r.Tenant == "" || r.Share != 3 {
		t.Errorf("tenant %q, share %d", r.Tenant, r.Share)
	}
	// Sixteen tokens of output were used of forty, and ten of the prompt.
	used := 10 + len(fakeReply)
	eventually(t, "what was not used to be given back", func() bool {
		return keys.left(t, now) == float64(100-used)
	})
	a = ask(`{"prompt":"1234","max_tokens":90}`)
	if a.status != 429 || a.errorOf(t)["code"] != "rate_limit_exceeded" || left(a) != "74" || a.header.Get("Retry-After") != "13" {
		t.Errorf("%d, %v: %s", a.status, a.header, a.body)
	}
	now = now.Add(12610 * time.Millisecond)
	if a = ask(`{"prompt":"1234","max_tokens":90}`); a.status != 200 || left(a) != "0" {
		t.Errorf("after the time that was said: %d %s", a.status, a.body)
	}
	now = now.Add(10 * time.Minute)
	if a = ask(`{"prompt":"` + strings.Repeat("x", 110) + `"}`); a.status != 200 { // more than a minute's worth leaves a debt
		t.Errorf("%d %s", a.status, a.body)
	}
	eventually(t, "a debt", func() bool { return keys.left(t, now) < -20 })
	if a = ask(`{"prompt":"1"}`); a.status != 429 || left(a) != "0" {
		t.Errorf("in debt: %d %s", a.status, a.body)
	}
	if a := ts.do("POST", "/v1/completions", `{"prompt":"1"}`, "Authorization: Bearer free"); a.status != 200 || left(a) != "" {
		t.Errorf("a key without quotas: %d %v", a.status, a.header)
	}
}

// left is what the first key has of its tokens.
func (k *Keys) left(t *testing.T, now time.Time) float64 {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.use(&k.rules.get()[0], now).tokens.left
}

// Tokens of a stream that is cut off, and of requests that are refused, are given back too.
func TestTokensAreGivenBack(t *testing.T) {
	keys, _, _ := loadTestKeys(t, "k\ttokens-per-minute=1000\n")
	b := &fakeBackend{gate: make(chan struct{})}
	ts := startServer(t, b, Config{Keys: keys})
	now := ts.now()
	stream := ts.open("POST", "/v1/completions", `{"prompt":"x","stream":true,"max_tokens":100}`, "Authorization: Bearer k")
	give(t, b.gate, 3)
	if got := keys.left(t, now); got != 1000-102 {
		t.Errorf("%v are left while it runs", got)
	}
	must(t, stream.Body.Close())
	eventually(t, "tokens to be given back", func() bool { left := keys.left(t, now); return left > 1000-2-5 && left <= 1000-2 })
	before := keys.left(t, now)
	ts.do("POST", "/v1/completions", `{"prompt":"untokenizable"}`, "Authorization: Bearer k")
	b.refuse = runtime.ErrQueueFull
	if a := ts.do("POST", "/v1/completions", `{"prompt":"x"}`, "Authorization: Bearer k"); a.status != 429 || keys.left(t, now) != before {
		t.Errorf("%d, %v tokens are left of %v", a.status, keys.left(t, now), before)
	}
}
