package prefill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// pageBytes is small enough that a page does not fill a read.
const pageBytes = 1000

// numbered are pages that hold their number.
type numbered struct{ failsAt int }

var errFails = errors.New("fails")

func (n numbered) Wait(i int) error {
	if i == n.failsAt {
		return errFails
	}
	return nil
}

func (numbered) Read(i int, to []byte) error {
	copy(to, bytes.Repeat([]byte{byte(i)}, len(to)))
	return nil
}

// taken collects pages and complains where one is not what its number says.
func taken(t *testing.T, pages *[]int) func(i int, page []byte) error {
	return func(i int, page []byte) error {
		if !bytes.Equal(page, bytes.Repeat([]byte{byte(i)}, pageBytes)) {
			t.Errorf("page %d is another", i)
		}
		*pages = append(*pages, i)
		return nil
	}
}

// What is written is read, in whatever pieces it comes; what is cut or changed anywhere gives the pages before it, and an error.
func TestPagesOnTheWire(t *testing.T) {
	var wire bytes.Buffer
	if _, err := wire.ReadFrom(iotest.OneByteReader(NewWriter(numbered{-1}, 3, 9, pageBytes))); err != nil {
		t.Fatal(err)
	}
	sent := wire.Bytes()
	for _, read := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.DataErrReader} {
		var pages []int
		if n, err := readPages(read(bytes.NewReader(sent)), 3, 9, pageBytes, taken(t, &pages)); err != nil || n != 6 || fmt.Sprint(pages) != "[3 4 5 6 7 8]" {
			t.Errorf("%d pages, %v: %v", n, pages, err)
		}
	}
	for at := 0; at < len(sent); at += 97 {
		var pages []int
		whole := at / (sumBytes + pageBytes)
		n, err := readPages(bytes.NewReader(sent[:at]), 3, 9, pageBytes, taken(t, &pages))
		if err == nil || n != whole || len(pages) != whole {
			t.Errorf("cut at %d: %d pages, %v", at, n, err)
		}
		changed := bytes.Clone(sent)
		changed[at] ^= 4
		if n, err := readPages(bytes.NewReader(changed), 3, 9, pageBytes, func(int, []byte) error { return nil }); !errors.Is(err, errSum) || n != whole {
			t.Errorf("changed at %d: %d pages, %v", at, n, err)
		}
	}
	if got, err := io.ReadAll(NewWriter(numbered{5}, 3, 9, pageBytes)); !errors.Is(err, errFails) || len(got) != 2*(sumBytes+pageBytes) {
		t.Errorf("a source that fails: %d bytes, %v", len(got), err)
	}
}

// fleet is some servers, of which each answers as its function says.
type fleet struct {
	*Client
	now    time.Time
	prefer string // address
	mu     sync.Mutex
	asked  []int // number of the server, by question
}

func startFleet(t *testing.T, answers ...func(w http.ResponseWriter, ask *Ask)) *fleet {
	f := &fleet{now: time.Unix(1e9, 0)}
	var o Options
	for i, answer := range answers {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			f.asked = append(f.asked, i)
			f.mu.Unlock()
			var ask Ask
			if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || r.URL.Path != Path {
				t.Errorf("%s: %v", r.URL, err)
			}
			answer(w, &ask)
		}))
		t.Cleanup(s.Close)
		o.Servers = append(o.Servers, s.URL)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	f.Client, c.servers.now = c, func() time.Time { return f.now }
	return f
}

// question asks for 6 pages of a prompt that begins with a number, and returns how many came.
func (f *fleet) question(t *testing.T, begin int32) (int, error) {
	t.Helper()
	var pages []int
	n, err := f.ask(t.Context(), &Ask{Prompt: []int32{begin, 1, 2}}, f.prefer, 6, pageBytes, taken(t, &pages))
	if len(pages) != n {
		t.Errorf("%d pages of %d were taken", len(pages), n)
	}
	return n, err
}

func sends(w http.ResponseWriter, ask *Ask) {
	_, _ = io.Copy(w, NewWriter(numbered{-1}, ask.Known, 6, pageBytes))
}

func refuses(status int, retry string) func(w http.ResponseWriter, ask *Ask) {
	return func(w http.ResponseWriter, _ *Ask) {
		if retry != "" {
			w.Header().Set("Retry-After", retry)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, `{"error":{"message":"because"}}`)
	}
}

// Prompts with one beginning go to one server, and prompts with others to all.
func TestPromptsGoWhereTheirBeginningIs(t *testing.T) {
	f := startFleet(t, sends, sends, sends)
	used := map[int]bool{}
	for begin := range int32(40) {
		for range 2 {
			if n, err := f.question(t, begin); n != 6 || err != nil {
				t.Fatal(n, err)
			}
		}
		last := f.asked[len(f.asked)-2:]
		if used[last[0]] = true; last[0] != last[1] {
			t.Errorf("beginning %d: servers %v", begin, last)
		}
	}
	if len(used) != 3 {
		t.Errorf("servers that were used: %v", used)
	}
}

// A server that the request names is asked first, if it is one of those that there are.
func TestPreferredServers(t *testing.T) {
	f := startFleet(t, sends, sends, sends)
	for begin := range int32(12) {
		want := int(begin) % 3
		f.prefer = f.servers.names[want].Host
		if n, err := f.question(t, begin); n != 6 || err != nil || f.asked[len(f.asked)-1] != want {
			t.Errorf("%d pages, %v: server %d, preferred was %d", n, err, f.asked[len(f.asked)-1], want)
		}
	}
	f.prefer = "169.254.169.254:80"
	if n, err := f.question(t, 1); n != 6 || err != nil {
		t.Errorf("a server that is none of ours: %d pages, %v", n, err)
	}
}

// A server that is busy with more questions than others is not asked first.
func TestBusyServersAreNotAsked(t *testing.T) {
	var wait, begun sync.WaitGroup
	release := make(chan struct{})
	slow := func(w http.ResponseWriter, ask *Ask) {
		begun.Done()
		<-release
		sends(w, ask)
	}
	f := startFleet(t, slow, slow)
	begun.Add(8)
	for range 8 { // at once: the first has the names looked up, and the others wait for that too
		wait.Go(func() {
			if n, err := f.question(t, 7); n != 6 || err != nil {
				t.Errorf("%d pages, %v", n, err)
			}
		})
	}
	asked := make(chan struct{})
	go func() { begun.Wait(); close(asked) }()
	select {
	case <-asked:
	case <-time.After(20 * time.Second):
		t.Error("not all questions came")
	}
	close(release)
	wait.Wait()
	count := [2]int{}
	for _, s := range f.asked {
		count[s]++
	}
	if count[0] < 3 || count[1] < 3 {
		t.Errorf("8 questions of one beginning went to servers as %v", count)
	}
}

// A server that fails is replaced by another one, and left alone for longer and longer; one that is busy says for how long.
func TestServersThatFailRest(t *testing.T) {
	f := startFleet(t, refuses(500, ""))
	if n, err := f.question(t, 1); n != 0 || err == nil || !strings.Contains(err.Error(), "500: because") {
		t.Fatal(n, err)
	}
	for _, c := range []struct {
		after time.Duration
		asked int
	}{{0, 1}, {firstRest - 1, 1}, {1, 2}, {firstRest, 2}, {firstRest, 3}, {time.Hour, 4}} {
		f.now = f.now.Add(c.after)
		if _, err := f.question(t, 1); err == nil || len(f.asked) != c.asked {
			t.Errorf("after %v: %d questions, want %d: %v", c.after, len(f.asked), c.asked, err)
		}
	}
	busy := startFleet(t, refuses(503, "7"))
	if _, err := busy.question(t, 1); !errors.Is(err, errBusy) {
		t.Error(err)
	}
	busy.now = busy.now.Add(6 * time.Second)
	if _, err := busy.question(t, 1); !errors.Is(err, errBusy) || len(busy.asked) != 1 {
		t.Errorf("asked %v: %v", busy.asked, err)
	}
	busy.now = busy.now.Add(time.Second)
	if _, _ = busy.question(t, 1); len(busy.asked) != 2 {
		t.Errorf("asked %v", busy.asked)
	}
	two := startFleet(t, refuses(503, ""), sends)
	for begin := range int32(8) {
		if n, err := two.question(t, begin); n != 6 || err != nil {
			t.Errorf("beside one that refuses: %d pages, %v", n, err)
		}
		two.now = two.now.Add(time.Hour)
	}
}

// Who leaves is no reason to leave a server alone.
func TestLeavingIsNoFailure(t *testing.T) {
	f := startFleet(t, sends)
	if n, err := f.question(t, 1); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.ask(ctx, &Ask{Prompt: []int32{1}}, "", 6, pageBytes, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n, err := f.question(t, 1); n != 6 || err != nil {
		t.Error(n, err)
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	for _, bad := range []string{"", "10.0.0.1:80", "ftp://host:1", "http://", "http://user:word@host:1", "http://host:1/?q", "http://host:1#f"} {
		if _, err := New(Options{Servers: []string{bad}}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// A name that stands for several addresses is as many servers, as long as it does.
func TestNamesOfSeveralServers(t *testing.T) {
	f := startFleet(t, sends, sends, sends)
	now := f.now
	var addresses []string
	for _, one := range f.servers.names {
		addresses = append(addresses, one.Hostname()+":"+one.Port())
	}
	port := f.servers.names[0].Port()
	c, err := New(Options{Servers: []string{"http://prompts.example:" + port}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	servers := c.servers
	hosts, failure := []string{"127.0.0.1", "127.0.0.2"}, error(nil)
	looked := make(chan struct{}, 9)
	c.servers.now = func() time.Time { return now }
	c.servers.lookup = func(_ context.Context, host string) ([]string, error) {
		defer func() { looked <- struct{}{} }()
		if host != "prompts.example" {
			t.Errorf("looked up %q", host)
		}
		return hosts, failure
	}
	named := func() (all []string) {
		c.servers.mu.Lock()
		defer c.servers.mu.Unlock()
		for _, one := range c.servers.list {
			all = append(all, one.address)
		}
		return all
	}
	f.Client = c
	f.question(t, 1) // the second address has nobody behind it, unless the first is chosen
	if n, err := f.question(t, 1); n != 6 || err != nil || len(named()) != 2 {
		t.Errorf("%d pages of %v: %v", n, named(), err)
	}
	<-looked
	for _, c := range []struct {
		hosts   []string
		failure error
		want    int
	}{{[]string{"127.0.0.1"}, nil, 1}, {nil, errFails, 1}, {[]string{"127.0.0.1", "127.0.0.3", "127.0.0.4"}, nil, 3}} {
		servers.mu.Lock()
		hosts, failure, now = c.hosts, c.failure, now.Add(resolveEvery)
		servers.mu.Unlock()
		f.question(t, 1)
		<-looked
		for until := time.Now().Add(time.Minute); len(named()) != c.want; time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("%v, want %d", named(), c.want)
			}
		}
	}
	if addresses[0] != named()[0] {
		t.Errorf("%v, asked as %s", named(), addresses[0])
	}
}

// Whatever a server sends, only pages whose sums are right are taken, in their order.
func FuzzPages(f *testing.F) {
	var wire bytes.Buffer
	_, _ = wire.ReadFrom(NewWriter(numbered{-1}, 0, 3, 8))
	f.Add(wire.Bytes())
	f.Add(wire.Bytes()[:17])
	f.Fuzz(func(t *testing.T, sent []byte) {
		at := 0
		n, err := readPages(bytes.NewReader(sent), 0, 5, 8, func(i int, page []byte) error {
			if i != at || !bytes.Equal(page, sent[at*12+4:][:8]) {
				t.Fatalf("page %d is %x", i, page)
			}
			at++
			return nil
		})
		if n != at || (err == nil) != (n == 5) {
			t.Fatalf("%d pages, %d were taken: %v", n, at, err)
		}
	})
}
