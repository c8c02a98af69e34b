package server

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a tab of a headless Chromium with the page of a server.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	errors []string // exceptions, and what the console has at level error: violations of the page's policy too
}

// TestPage drives the chat page in a browser, each subtest in a tab of its own. It is skipped where there is no Chromium;
// LLMC_CHROMIUM names another one.
func TestPage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	name := os.Getenv("LLMC_CHROMIUM")
	if name == "" {
		name = "chromium"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no browser: %v (LLMC_CHROMIUM names another)", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	ctx, closeBrowser := chromedp.NewContext(allocator)
	defer closeBrowser()
	must(t, chromedp.Do(ctx, chromedp.Navigate("about:blank")))
	for _, test := range []struct {
		name string
		run  func(*testing.T, context.Context)
	}{
		{"chat", testPageChat}, {"thoughts", testPageShowsThoughts}, {"stop by button", testPageStopButton}, {"stop by key", testPageStopKey},
		{"markup", testPageShowsMarkupAsText}, {"key", testPageAsksForKey}, {"errors", testPageTellsErrors}, {"fits", testPageFits}, {"stats", testPageStats}, {"markdown", testPageMarkdown},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, ctx) })
	}
}

// openPage opens the page of a server in a new tab and waits until it knows the models.
func openPage(t *testing.T, ctx context.Context, ts *testServer) *browser {
	t.Helper()
	ts.models.list[0].MaxContext = 4096
	b := openTab(t, ctx, ts)
	b.await(`document.getElementById("model").value === "tiny"`)
	return b
}

func openTab(t *testing.T, ctx context.Context, ts *testServer) *browser {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	b.do(chromedp.Navigate("about:blank"))
	must(t, chromedp.Listen(ctx, b.listen))
	b.do(chromedp.Navigate("http://" + ts.addr + "/"))
	return b
}

func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.errors = append(b.errors, e.Entry.Text)
		}
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	must(b.t, chromedp.Do(b.ctx, steps...))
}

// text evaluates a JavaScript expression to a string.
func (b *browser) text(expression string) string {
	b.t.Helper()
	s, err := b.evaluate(expression)
	must(b.t, err)
	return s
}

func (b *browser) evaluate(expression string) (string, error) {
	return chromedp.Run(b.ctx, chromedp.Evaluate[string](fmt.Sprintf("String(%s)", expression)))
}

// await waits until an expression is true; the page's policy rules out waiting inside of it. While a page is replaced by the next it
// cannot be evaluated, which is no error.
func (b *browser) await(expression string) {
	b.t.Helper()
	eventually(b.t, expression, func() bool {
		s, err := b.evaluate(expression)
		return err == nil && s == "true"
	})
}

func (b *browser) ask(question string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS("#input"), question+"\r"))
}

// shoot keeps a picture for a person to look at, if LLMC_SCREENSHOTS names a folder.
func (b *browser) shoot(name string) {
	b.t.Helper()
	folder := os.Getenv("LLMC_SCREENSHOTS")
	if folder == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	must(b.t, err)
	must(b.t, os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644))
}

const (
	lastBody  = `document.querySelector("#messages > li:last-child .body").textContent`
	lastFacts = `document.querySelector("#messages > li:last-child .facts").textContent`
	idle      = `document.getElementById("stop").hidden`
)

func testPageChat(t *testing.T, ctx context.Context) {
	b := &fakeBackend{pace: 2 * time.Millisecond}
	ts := startServer(t, b, Config{})
	page := openPage(t, ctx, ts)
	page.shoot("welcome")
	page.do(chromedp.Click(chromedp.CSS("#settings-open")))
	page.shoot("settings")
	page.do(chromedp.Click(chromedp.CSS("#settings button")))

	page.ask("Hello")
	page.await(idle + ` && document.querySelectorAll("#messages > li").length === 2`)
	if got := page.text(lastBody); got != fakeReply {
		t.Errorf("answer %q, want %q", got, fakeReply)
	}
	for _, fact := range []string{" tokens/s", "first token ", "16 tokens"} {
		if facts := page.text(lastFacts); !strings.Contains(facts, fact) {
			t.Errorf("%q does not say %q", facts, fact)
		}
	}

	page.do(chromedp.SetValue(chromedp.CSS("#system"), "Be kind."), chromedp.SetValue(chromedp.CSS("#temperature"), "0.5"))
	page.do(chromedp.SetValue(chromedp.CSS("#max-tokens"), "9"))
	page.ask("And then?")
	page.await(idle + ` && document.querySelectorAll("#messages > li").length === 4`)
	last := b.last()
	if last.Sampling.Temperature != 0.5 || last.MaxTokens != 9 {
		t.Errorf("temperature %g, max tokens %d", last.Sampling.Temperature, last.MaxTokens)
	}
	want := "system: Be kind.\nuser: Hello\nassistant: " + fakeReply + "\nuser: And then?\nassistant:"
	if got := (byteTokenizer{}).Decode(last.Prompt, false); got != want {
		t.Errorf("prompt %q, want %q", got, want)
	}

	page.do(chromedp.Reload())
	page.await(`document.querySelectorAll("#messages > li").length === 4`)
	page.do(chromedp.Click(chromedp.CSS("#new")))
	page.await(`document.querySelectorAll("#messages > li").length === 0`)
	if len(page.errors) > 0 {
		t.Errorf("errors on the page: %q", page.errors)
	}
}

// Reasoning is shown apart from the answer, and is not sent back.
func testPageShowsThoughts(t *testing.T, ctx context.Context) {
	ts := toolServer(t, "<think>Two <b>and</b> two.</think>Four.")
	page := openPage(t, ctx, ts)
	page.ask("2+2?")
	page.await(idle + ` && document.querySelectorAll("#messages > li").length === 2`)
	thought := page.text(`document.querySelector("#messages > li:last-child .thought").textContent`)
	if got := page.text(lastBody); got != "Four." || thought != "Two <b>and</b> two." {
		t.Errorf("answer %q, thought %q", got, thought)
	}
	page.ask("Sure?")
	page.await(idle + ` && document.querySelectorAll("#messages > li").length === 4`)
	if got := (byteTokenizer{}).Decode(ts.backend.last().Prompt, false); strings.Contains(got, "Two") || !strings.Contains(got, "Four.") {
		t.Errorf("prompt %q", got)
	}
}

func testPageStopButton(t *testing.T, ctx context.Context) {
	testPageStop(t, ctx, chromedp.Click(chromedp.CSS("#stop")))
}

func testPageStopKey(t *testing.T, ctx context.Context) {
	testPageStop(t, ctx, chromedp.KeyEvent("\x1b"))
}

func testPageStop(t *testing.T, ctx context.Context, stop chromedp.Action[chromedp.Void]) {
	b := &fakeBackend{gate: make(chan struct{})}
	ts := startServer(t, b, Config{})
	page := openPage(t, ctx, ts)
	page.ask("Hello")
	give(t, b.gate, 4)
	page.await(lastBody + ` === "Hi, "`)
	page.do(stop)
	eventually(t, "canceled", func() bool { return b.canceled.Load() == 1 && b.idle() })
	page.await(idle + ` && ` + lastFacts + `.includes("stopped")`)
}

// What a model writes is shown, never run.
func testPageShowsMarkupAsText(t *testing.T, ctx context.Context) {
	hostile := "<img src=x onerror=\"document.title='owned'\">\n\n- <script>document.title='owned'</script>\n\n" +
		"```html\n<iframe srcdoc='<script>parent.document.title=1</script>'></iframe>\n```\n\n**<b onclick=1>x</b>** `<i>` [a](javascript:alert(1))"
	b := &fakeBackend{reply: func(requestOf) string { return hostile }}
	ts := startServer(t, b, Config{})
	page := openPage(t, ctx, ts)
	page.ask("<img src=y onerror=\"document.title='owned'\">")
	page.await(idle + ` && document.querySelectorAll("#messages > li").length === 2`)
	if n := page.text(`document.querySelectorAll("#messages :is(img, script, iframe, b, i, a)").length`); n != "0" {
		t.Errorf("%s elements made of the model's text", n)
	}
	for _, piece := range []string{"<img src=x onerror=", "<script>document.title='owned'</script>", "<iframe srcdoc=", "<b onclick=1>x</b>", "(javascript:"} {
		if !strings.Contains(page.text(lastBody), piece) {
			t.Errorf("%q is not shown: %s", piece, page.text(lastBody))
		}
	}
	if title := page.text("document.title"); title != "llmrun chat" {
		t.Errorf("title %q", title)
	}
	// The policy holds even for what gets into the document by other ways.
	page.text(`document.body.append(Object.assign(document.createElement("script"), {textContent: "document.title = 'owned'"}))`)
	if title := page.text("document.title"); title != "llmrun chat" {
		t.Errorf("an inline script ran: title %q", title)
	}
}

func testPageAsksForKey(t *testing.T, ctx context.Context) {
	keys, _, _ := loadTestKeys(t, "sk-page\n")
	ts := startServer(t, &fakeBackend{}, Config{Keys: keys})
	page := openTab(t, ctx, ts)
	page.await(`document.getElementById("settings").open && document.activeElement.id === "key"`)
	page.do(chromedp.SendKeys(chromedp.CSS("#key"), "sk-page\t"))
	page.await(`document.getElementById("model").value === "tiny"`)
	page.do(chromedp.KeyEvent("\x1b"))
	page.ask("Hello")
	page.await(idle + ` && ` + lastBody + ` === ` + quoteJS(fakeReply))
}

func quoteJS(s string) string {
	q, _ := json.Marshal(s)
	return string(q)
}

// Errors of the server are told, and the conversation can go on.
func testPageTellsErrors(t *testing.T, ctx context.Context) {
	b := &fakeBackend{queue: 1}
	ts := startServer(t, b, Config{})
	b.running = 1
	page := openPage(t, ctx, ts)
	page.ask("Hello")
	page.await(lastFacts + `.includes("too many requests are waiting")`)
	b.mu.Lock()
	b.running = 0
	b.mu.Unlock()
	page.do(chromedp.Click(chromedp.CSS("#messages > li:last-child .facts button"))) // try again
	page.await(idle + ` && ` + lastBody + ` === ` + quoteJS(fakeReply))
}

// Pictures of the page at two sizes and in both colours, for a person to judge; they prove only that it does not overflow.
func testPageFits(t *testing.T, ctx context.Context) {
	reply := "Here is a small program, with **one** function:\n\n```go\npackage main\n\nfunc main() {\n\tprintln(\"a rather long line of text that does not fit on the screen of a phone, so it scrolls\")\n}\n```\n\n" +
		"### How it works\n\n1. `println` writes to standard error.\n2. Nothing else happens.\n\n- short\n- " + strings.Repeat("unbreakable", 20)
	b := &fakeBackend{pace: time.Millisecond / 4, reply: func(requestOf) string { return reply }}
	ts := startServer(t, b, Config{})
	page := openPage(t, ctx, ts)
	page.ask("Write a program that prints a line.")
	page.await(idle + ` && document.querySelectorAll("#messages > li").length === 2`)
	for name, width := range map[string]int64{"desktop": 1280, "phone": 360} {
		for _, scheme := range []string{"light", "dark"} {
			page.do(chromedp.EmulateViewport(width, 760), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
				features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
				_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
				return err
			}))
			if wide := page.text(`document.documentElement.scrollWidth`); wide != fmt.Sprint(width) {
				t.Errorf("%s %s: %s pixels wide, the window %d", name, scheme, wide, width)
			}
			page.shoot(name + "-" + scheme)
		}
	}
}

// The page is one document that asks for nothing from elsewhere, and its policy lets exactly its own parts run.
func TestPageIsOneDocument(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, Config{})
	for _, path := range []string{"/", "/stats"} {
		t.Run(path, func(t *testing.T) { checkDocument(t, ts.do("GET", path, "")) })
	}
}

func checkDocument(t *testing.T, a answer) {
	if a.status != 200 || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%d %s", a.status, a.header.Get("Content-Type"))
	}
	for _, reference := range []string{"src=", "href=\"http", "href=\"/", "url(", "@import", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "/*css*/", "/*js*/"} {
		if strings.Contains(a.body, reference) {
			t.Errorf("the page has %s", reference)
		}
	}
	policy := a.header.Get("Content-Security-Policy")
	for element, directive := range map[string]string{"script": "script-src", "style": "style-src"} {
		_, rest, _ := strings.Cut(a.body, "<"+element)
		_, rest, _ = strings.Cut(rest, ">")
		part, _, ok := strings.Cut(rest, "</"+element+">")
		sum := sha256.Sum256([]byte(part))
		allowed := directive + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "';"
		if !ok || !strings.Contains(policy, allowed) || strings.Count(a.body, "<"+element) != 1 {
			t.Errorf("%s: %s not in %s", element, allowed, policy)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %s", policy)
	}
}
