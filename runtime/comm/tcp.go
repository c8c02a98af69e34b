package comm

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
	"unsafe"
)

// endOfConnection is how long a rank whose connection has ended may take to say that the group ends.
const endOfConnection = time.Second

// overTCP makes a link of a connection.
func (g *Group) overTCP(rank int, conn net.Conn) {
	l := newLink(aligned(linkBytes), true)
	g.links[rank], g.kinds[rank] = l, transportTCP
	_ = conn.SetDeadline(time.Time{})
	var pumps sync.WaitGroup
	pumps.Go(func() { g.connectionEnded(rank, g.pumpOut(l.out, conn)) })
	pumps.Go(func() { g.connectionEnded(rank, g.pumpIn(l.in, conn)) })
	g.release = append(g.release, func() { conn.Close(); pumps.Wait() })
}

// aligned returns zeroed memory that begins with a cache line.
func aligned(n int) []byte {
	const line = 128
	memory := make([]byte, n+line)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(memory)))) & (line - 1)
	return memory[skip : skip+n]
}

// connectionEnded breaks the group when a connection ends before the group does.
func (g *Group) connectionEnded(rank int, err error) {
	for end := time.Now().Add(endOfConnection); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if g.Err() != nil || g.control.quitting.Load() {
			return
		}
	}
	if errors.Is(err, io.EOF) {
		err = gone(rank)
	}
	_ = g.Fail(err)
}

// pumpOut writes what comes into the ring to the connection.
func (g *Group) pumpOut(r *ring, conn net.Conn) error {
	var w waiter
	for g.Err() == nil {
		piece, err := r.view()
		if err != nil {
			return err
		}
		if len(piece) > 0 {
			if _, err := conn.Write(piece); err != nil {
				return err
			}
			r.skip(len(piece))
			w.progress()
			continue
		}
		if at := r.written.Load(); at == r.read.Load() {
			_ = w.wait(&r.written, at, &r.readers)
		}
	}
	return g.Err()
}

// pumpIn puts what the connection gives into the ring.
func (g *Group) pumpIn(r *ring, conn net.Conn) error {
	buf := make([]byte, 64<<10)
	for g.Err() == nil {
		n, err := conn.Read(buf)
		var w waiter
		for rest := buf[:n]; len(rest) > 0 && g.Err() == nil; {
			done, err := r.put(rest)
			if err != nil {
				return err
			}
			if rest = rest[done:]; done == 0 {
				_ = w.wait(&r.read, r.read.Load(), &r.writers)
			}
		}
		if err != nil {
			return err
		}
	}
	return g.Err()
}
