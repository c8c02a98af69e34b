package server

import (
	"net"
	"testing"
	"time"
)

// Connections are taken as they come until there are too many of them, then without a pause only while some wait.
func TestFloodPauses(t *testing.T) {
	waits := false
	f := flood{waits: func() bool { return waits }, room: floodBurst}
	now := time.Now()
	f.since = now
	for i := range floodBurst {
		if f.pause(now) != 0 {
			t.Fatalf("a pause before connection %d of a burst", i+1)
		}
	}
	for range 3 {
		if f.pause(now) != floodPause {
			t.Fatal("no pause in a flood that nobody of waits")
		}
	}
	if waits = true; f.pause(now) != 0 {
		t.Error("a pause while connections wait")
	}
	waits, now = false, now.Add(2*floodPeriod)
	for i, want := range []time.Duration{0, 0, floodPause} {
		if got := f.pause(now); got != want {
			t.Errorf("%d after two periods: %v, want %v", i, got, want)
		}
	}
}

// A thousand connections at once, some of which are reset, are all taken or dropped, whatever pauses there are.
func TestFloodIsTaken(t *testing.T) {
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	must(t, err)
	l := newListener(ln, time.Second, &room{})
	defer l.Close()
	const connections = 1000
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		for i := range connections {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			if i%2 == 0 {
				_ = c.(*net.TCPConn).SetLinger(0)
			} else {
				_, _ = c.Write([]byte("x"))
			}
			_ = c.Close()
		}
	}()
	for heard := 0; heard < connections/2; {
		c, err := l.Accept()
		must(t, err)
		if n, _ := c.Read(make([]byte, 1)); n == 1 {
			heard++
		}
		must(t, c.Close())
	}
	<-opened
}
