package server

import (
	"fmt"
	"strings"
	"testing"

	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime/metrics"
)

// Every file of testdata/exchange is a request (a line with method and path, headers, an empty line, the body) and the response that
// it must get, to the byte.
func TestExchanges(t *testing.T) {
	b := &fakeBackend{}
	small, untaught := fakeModel("org/small", b), fakeModel("base", b)
	untaught.Chat = nil
	four, half := int32(4), float32(0.5)
	small.Info.Generation = engine.GenerationDefaults{MaxNewTokens: &four, Temperature: &half}
	ts := startServer(t, b, Config{
		Models: []Model{fakeModel("tiny", b), small, untaught}, Version: "1.2.3", Metrics: metrics.New(), AllowOrigins: []string{"https://app.example"},
	})
	golden.Each(t, "testdata/exchange/*.txtar", func(t *testing.T, a *golden.Archive) {
		head, body, _ := strings.Cut(a.Input(t, "request"), "\n\n")
		lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
		method, path, _ := strings.Cut(lines[0], " ")
		got := ts.do(method, path, strings.TrimSuffix(body, "\n"), lines[1:]...)
		a.Check(t, "response", show(got))
	})
}

// shownHeaders are the headers that are part of the contract.
var shownHeaders = []string{
	"Content-Type", "Cache-Control", "Allow", "Retry-After", "Retry-After-Ms", "Www-Authenticate", "X-Request-Id", "X-Accel-Buffering",
	"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Vary",
}

func show(a answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", a.status)
	for _, name := range shownHeaders {
		if v := a.header.Values(name); len(v) > 0 {
			fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(v, ", "))
		}
	}
	return b.String() + "\n" + a.body
}
