package server

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Many large bodies that come slowly, or whose requests wait, have no more memory together than the server gives them: those that come too late are told so, small requests are
// answered meanwhile, and when the others have ended there is room again.
func TestManyLargeBodies(t *testing.T) {
	const body, most = 300 << 10, 900 << 10 // of which three have 3 * 236 KiB
	b := &fakeBackend{gate: make(chan struct{})}
	ts := startServer(t, b, Config{Limits: Limits{RoomBytes: most}})
	large := `{"prompt":"x","max_tokens":1,"user":"` + strings.Repeat("u", body) + `"}`
	head := fmt.Sprintf("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(large))

	waiting := ts.dial().postRaw("/v1/completions", large) // all of it is there, and its request runs
	eventually(t, "submitted", func() bool { return b.submitted() == 1 })
	var slow []*rawConn
	for range 2 { // that are not sent to their end
		slow = append(slow, ts.dial().send("%s%s", head, large[:body]))
	}
	eventually(t, "received", func() bool { return ts.room.taken.Load() > 3*(body-smallRequest)-1000 })
	for range 3 {
		late := ts.dial()
		var sent sync.WaitGroup
		sent.Go(func() { _, _ = late.Write([]byte(head + large)) })
		refusedRaw(t, late, 503)
		sent.Wait()
		late.Close()
	}
	if taken := ts.room.taken.Load(); taken > most {
		t.Errorf("%d bytes are taken, %d may be", taken, most)
	}
	small := make(chan answer, 1)
	go func() { small <- ts.do("POST", "/v1/completions", `{"prompt":"y","max_tokens":1}`) }()
	give(t, b.gate, 2)
	if a := <-small; a.status != 200 {
		t.Errorf("a small request beside them: %d %s", a.status, a.body)
	}
	if got := readBody(t, waiting); !strings.Contains(got, `"finish_reason":"length"`) {
		t.Errorf("the first request: %s", got)
	}
	waiting.postRaw("/v1/completions", `{"prompt":"x","max_tokens":1}`) // which takes the place of the large one
	give(t, b.gate, 1)
	readBody(t, waiting)
	for _, c := range slow {
		c.Close()
	}
	eventually(t, "room again", func() bool { return ts.room.taken.Load() == 0 })
}
