package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"llmc/runtime/server/inference"
)

// Attacks on the gRPC port by a client that speaks HTTP/2 frame by frame. After each the server must answer others.

// attacked is a server under attack.
type attacked struct {
	*testServer
	target string
	client inference.GRPCInferenceServiceClient
}

func attack(t *testing.T, b *fakeBackend, limits Limits) *attacked {
	t.Helper()
	ts := startServer(t, b, Config{Limits: limits})
	conn := startGRPC(t, ts)
	return &attacked{testServer: ts, target: conn.Target(), client: inference.NewGRPCInferenceServiceClient(conn)}
}

// stillServes requires answers to calls of a client that had nothing to do with it, and the end of what others asked for.
func (a *attacked) stillServes() {
	a.t.Helper()
	eventually(a.t, "the end of what attackers asked for", a.backend.idle)
	if _, err := a.client.ServerLive(callContext(a.t, ""), &inference.ServerLiveRequest{}); err != nil {
		a.t.Errorf("afterwards: %v", err)
	}
	if h := a.do("GET", "/health", ""); h.status != 200 {
		a.t.Errorf("afterwards: %d %s", h.status, h.body)
	}
	if !a.backend.endless {
		a.testServer.stillServes()
	}
}

// A connection that does not begin, or drips, is closed after HeaderTimeout; one that speaks something else at once.
func TestGRPCAttackPreface(t *testing.T) {
	a := attack(t, &fakeBackend{}, Limits{HeaderTimeout: 100 * time.Millisecond})
	for name, begin := range map[string]string{
		"nothing": "", "half a preface": http2.ClientPreface[:10], "no settings": http2.ClientPreface,
		"HTTP/1.1": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "zeros": strings.Repeat("\x00", 100),
	} {
		nc, err := net.Dial("tcp", a.target)
		must(t, err)
		must(t, nc.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(nc, begin)
		must(t, err)
		var late net.Error
		if _, err = io.Copy(io.Discard, nc); errors.As(err, &late) && late.Timeout() {
			t.Errorf("%s: the connection goes on", name)
		}
		nc.Close()
	}
	a.stillServes()
}

// A call whose message does not come, or comes in drips, ends after BodyTimeout.
func TestGRPCAttackSlowMessages(t *testing.T) {
	b := &fakeBackend{}
	a := attack(t, b, Limits{BodyTimeout: 100 * time.Millisecond})
	f := a.dial()
	whole := message(t, textCall(true, "x"))
	for i, part := range [][]byte{nil, whole[:3], whole[:len(whole)-1]} {
		id := uint32(2*i + 1)
		must(t, f.open(id, inferMethod))
		if len(part) > 0 {
			must(t, f.WriteData(id, false, part))
		}
		if got := f.status(id); got != fmt.Sprint(int(codes.Canceled)) {
			t.Errorf("call %d ended with status %q", id, got)
		}
	}
	if n := b.submitted(); n != 0 {
		t.Errorf("%d requests were begun", n)
	}
	a.stillServes()
}

// A message longer than a body may be is refused by its length, a compressed one by its coding: neither is read.
func TestGRPCAttackHugeMessages(t *testing.T) {
	a := attack(t, &fakeBackend{}, Limits{BodyBytes: 64 << 10})
	f := a.dial()
	for i, c := range []struct {
		prefix []byte
		more   []string
		want   codes.Code
	}{
		{[]byte{0, 0x7f, 0xff, 0xff, 0xff}, nil, codes.ResourceExhausted},
		{[]byte{0, 0xff, 0xff, 0xff, 0xff}, nil, codes.ResourceExhausted},
		{[]byte{1, 0, 0, 0, 10}, []string{"grpc-encoding", "gzip"}, codes.Unimplemented},
	} {
		id := uint32(2*i + 1)
		must(t, f.open(id, inferMethod, c.more...))
		must(t, f.WriteData(id, false, append(c.prefix, make([]byte, 10)...)))
		if got := f.status(id); got != fmt.Sprint(int(c.want)) {
			t.Errorf("message %d ended with status %q, want %v", i, got, c.want)
		}
	}
	a.stillServes()
}

// Calls that are opened and reset at once, tens of thousands of them (CVE-2023-44487), hold nothing.
func TestGRPCAttackRapidReset(t *testing.T) {
	b := &fakeBackend{endless: true}
	a := attack(t, b, Limits{})
	before := runtime.NumGoroutine()
	f := a.dial()
	go func() { _, _ = io.Copy(io.Discard, f.Conn) }()
	call := message(t, textCall(true, "x"))
	for i := range 10_000 {
		id := uint32(2*i + 1)
		if f.open(id, inferMethod) != nil || i%4 == 0 && f.WriteData(id, true, call) != nil || f.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break // the server may hang up
		}
		if n := runtime.NumGoroutine(); n > before+4*grpcStreams {
			t.Fatalf("%d goroutines after %d calls, %d before", n, i, before)
		}
	}
	a.stillServes()
}

// Pings more often than is allowed end the connection.
func TestGRPCAttackPings(t *testing.T) {
	a := attack(t, &fakeBackend{}, Limits{})
	f := a.dial()
	go func() {
		for range 10_000 {
			if f.WritePing(false, [8]byte{}) != nil {
				return
			}
		}
	}()
	if code := f.closed(); code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("the connection ended with %v", code)
	}
	a.stillServes()
}

// Who sends settings and reads no answer to them is not read any more, and closed after WriteTimeout.
func TestGRPCAttackSettings(t *testing.T) {
	a := attack(t, &fakeBackend{}, Limits{WriteTimeout: 100 * time.Millisecond})
	f := a.dial()
	must(t, f.Conn.(*net.TCPConn).SetReadBuffer(4<<10))
	must(t, f.Conn.SetDeadline(time.Now().Add(time.Minute))) // tens of thousands of answers fill the buffers before, each a call of its own on a busy machine
	many := bytes.Buffer{}
	flood := http2.NewFramer(&many, nil)
	for range 10_000 {
		must(t, flood.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65535}))
	}
	for range 10_000 {
		if _, err := f.Conn.Write(many.Bytes()); err != nil {
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				t.Error("the connection goes on")
			}
			a.stillServes()
			return
		}
	}
	t.Error("gigabytes of settings were taken")
}

// A client that opens no window for an answer holds the generation no longer than a write may take.
func TestGRPCAttackWindow(t *testing.T) {
	b := &fakeBackend{endless: true}
	a := attack(t, b, Limits{WriteTimeout: 100 * time.Millisecond})
	f := a.dial(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	call := textCall(true, "x")
	call.Inputs[1] = &inference.ModelInferRequest_InferInputTensor{Name: "stream", Datatype: "BOOL", Shape: []int64{1}}
	call.RawInputContents[1] = []byte{1}
	must(t, f.open(1, streamMethod))
	must(t, f.WriteData(1, false, message(t, call)))
	eventually(t, "the request", func() bool { return b.submitted() == 1 })
	a.stillServes() // which waits for the generation's end
}

// More calls than a connection may have are refused, one by one; more than all connections may have together too.
func TestGRPCAttackManyStreams(t *testing.T) {
	a := attack(t, &fakeBackend{}, Limits{Connections: grpcStreams + 100})
	first, second := a.dial(), a.dial()
	for i := range uint32(grpcStreams + 1) {
		must(t, first.open(2*i+1, streamMethod))
	}
	if got := first.status(2*grpcStreams + 1); got != "" {
		t.Errorf("a call beyond those of a connection ended with status %q", got)
	}
	for i := range uint32(101) {
		must(t, second.open(2*i+1, streamMethod))
	}
	if got := second.status(2*100 + 1); got != fmt.Sprint(int(codes.ResourceExhausted)) {
		t.Errorf("a call beyond those of all connections ended with status %q", got)
	}
	if _, err := a.client.ModelInfer(callContext(t, ""), textCall(true, "x")); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a call beyond those of all connections: %v", err)
	}
	if _, err := a.client.ServerLive(callContext(t, ""), &inference.ServerLiveRequest{}); err != nil {
		t.Errorf("a probe meanwhile: %v", err)
	}
	first.Conn.Close()
	eventually(t, "room for others", func() bool {
		_, err := a.client.ModelInfer(callContext(t, ""), textCall(true, "x"))
		return err == nil
	})
	a.stillServes()
}

// Headers that are too large are refused, and those that never end (CVE-2024-27316) close the connection.
func TestGRPCAttackHeaders(t *testing.T) {
	a := attack(t, &fakeBackend{}, Limits{})
	f := a.dial()
	block := f.header(inferMethod, "x-large", strings.Repeat("abc{}<>", 4096))
	must(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:16000]}))
	must(t, f.WriteContinuation(1, true, block[16000:]))
	f.closed()
	f = a.dial()
	must(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.header(inferMethod)}))
	go func() {
		f.block.Reset()
		_ = f.pack.WriteField(hpack.HeaderField{Name: "x-more", Value: strings.Repeat("x", 1000), Sensitive: true})
		for range 1 << 20 {
			if f.WriteContinuation(1, false, f.block.Bytes()) != nil {
				return
			}
		}
	}()
	f.closed()
	a.stillServes()
}

// Thousands of calls whose deadlines are over before they are answered end, and what they asked for with them.
func TestGRPCAttackDeadlines(t *testing.T) {
	b := &fakeBackend{endless: true}
	a := attack(t, b, Limits{})
	var calls sync.WaitGroup
	for i := range 1000 {
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%20)*time.Millisecond)
			defer cancel()
			if _, err := a.client.ModelInfer(ctx, textCall(true, "x")); status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("%v", err)
			}
		})
	}
	calls.Wait()
	f := a.dial()
	for i, timeout := range []string{"0n", "1n", "-5S", "99999999999H", "S", ""} {
		must(t, f.open(uint32(2*i+1), inferMethod, "grpc-timeout", timeout))
		if got := f.status(uint32(2*i + 1)); got == fmt.Sprint(int(codes.OK)) {
			t.Errorf("a deadline of %q: status %q", timeout, got)
		}
	}
	a.stillServes()
}

// Frames that are against the protocol end the connection.
func TestGRPCAttackProtocol(t *testing.T) {
	a := attack(t, &fakeBackend{}, Limits{})
	for name, send := range map[string]func(f *frames) error{
		"data of no call":        func(f *frames) error { return f.WriteRawFrame(http2.FrameData, 0, 0, []byte("x")) },
		"an even call":           func(f *frames) error { return f.open(2, inferMethod) },
		"a window of nothing":    func(f *frames) error { return f.WriteRawFrame(http2.FrameWindowUpdate, 0, 0, make([]byte, 4)) },
		"settings of five bytes": func(f *frames) error { return f.WriteRawFrame(http2.FrameSettings, 0, 0, make([]byte, 5)) },
		"a ping of a byte":       func(f *frames) error { return f.WriteRawFrame(http2.FramePing, 0, 0, []byte{1}) },
		"a frame of 16 MB": func(f *frames) error {
			_, err := f.Conn.Write([]byte{0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1})
			return err
		},
		"a header that is no HPACK": func(f *frames) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true})
		},
	} {
		f := a.dial()
		f.AllowIllegalWrites = true
		if err := send(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		f.closed()
	}
	a.stillServes()
}
