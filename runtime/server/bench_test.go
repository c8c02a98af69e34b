package server

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkStreamToken is what one token of a stream costs between the model's event and the bytes of its chunk.
func BenchmarkStreamToken(b *testing.B) {
	for name, body := range map[string]string{"plain": `{"messages":[{"role":"u","content":"x"}],"stream":true}`,
		"logprobs": `{"messages":[{"role":"u","content":"x"}],"stream":true,"logprobs":true,"top_logprobs":5}`} {
		b.Run(name, func(b *testing.B) {
			model := fakeModel("tiny", &fakeBackend{reply: func(requestOf) string { return strings.Repeat("a", b.N) }})
			model.MaxContext = b.N + 100
			s, err := New(Config{Models: []Model{model}})
			must(b, err)
			r, err := s.decode(onChat, []byte(body))
			must(b, err)
			must(b, r.encode())
			batch, err := s.start(context.Background(), r, func() {})
			must(b, err)
			defer batch.close()
			st := &stream{server: s, batch: batch, words: inOpenAI(chatWording{})(s, r)}
			buffer := make([]byte, 4096)
			b.ReportAllocs()
			b.ResetTimer()
			for err == nil {
				_, err = st.Read(buffer)
			}
			if err != io.EOF {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkOneTokenRequest is a whole request over a loopback connection, client included, with a model that takes no time.
func BenchmarkOneTokenRequest(b *testing.B) {
	s, err := New(Config{Models: []Model{fakeModel("tiny", &fakeBackend{})}})
	must(b, err)
	address, stop := serveLoopback(b, s)
	defer stop()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for b.Loop() {
		resp, err := client.Post("http://"+address+"/v1/completions", "application/json", strings.NewReader(`{"prompt":"x","max_tokens":1}`))
		must(b, err)
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
			b.Fatal(resp.StatusCode, err)
		}
		resp.Body.Close()
	}
}
