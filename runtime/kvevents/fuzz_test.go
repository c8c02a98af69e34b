package kvevents

import (
	"bufio"
	"bytes"
	"net"
	"testing"
	"time"
)

// Whatever a peer sends is read as messages of bounded size, or refused; what is written is read as it was.
func FuzzMessages(f *testing.F) {
	f.Add(message([]byte("topic"), numbered(7), []byte("payload")))
	f.Add([]byte{flagCommand, 1, 'x', 0, 2, 1, 't'})
	f.Add([]byte{flagLong | flagMore, 0, 0, 0, 0, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, sent []byte) {
		p := &peer{in: bufio.NewReader(bytes.NewReader(sent))}
		for total := 0; ; {
			frames, err := p.message()
			if err != nil {
				break
			}
			if len(frames) == 0 || len(frames) > maxFrames {
				t.Fatalf("a message of %d frames", len(frames))
			}
			for _, body := range frames {
				if total += len(body); len(body) > maxFrame || total > len(sent) {
					t.Fatalf("%d bytes, %d in all, of %d that were sent", len(body), total, len(sent))
				}
			}
			again, err := (&peer{in: bufio.NewReader(bytes.NewReader(message(frames...)))}).message()
			if err != nil || len(again) != len(frames) {
				t.Fatalf("%d frames became %d: %v", len(frames), len(again), err)
			}
			for i := range frames {
				if !bytes.Equal(frames[i], again[i]) {
					t.Fatalf("frame %d is another", i)
				}
			}
		}
	})
}

// Whatever a stranger says first, a handshake ends.
func FuzzGreeting(f *testing.F) {
	var own bytes.Buffer
	here, there := net.Pipe()
	go func() {
		_, _ = greet(there, "SUB")
		there.Close()
	}()
	_ = here.SetDeadline(time.Now().Add(time.Second))
	_, _ = own.ReadFrom(&limited{here, 93})
	here.Close()
	f.Add(own.Bytes())
	f.Add(bytes.Repeat([]byte{0xff}, 80))
	f.Fuzz(func(t *testing.T, sent []byte) {
		here, there := net.Pipe()
		defer here.Close()
		go func() { // what it is told
			var buf [256]byte
			for {
				if _, err := here.Read(buf[:]); err != nil {
					return
				}
			}
		}()
		go func() {
			_, _ = here.Write(sent)
			here.Close()
		}()
		p, err := greet(there, "PUB")
		there.Close()
		if err == nil && (p == nil || len(sent) < greetingBytes) {
			t.Fatalf("shook hands over %d bytes", len(sent))
		}
	})
}

// limited ends behind so many bytes.
type limited struct {
	net.Conn
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, net.ErrClosed
	}
	n, err := l.Conn.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
