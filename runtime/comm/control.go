package comm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// control is the connections over which ranks notice that others are gone: between the first rank and each of the others. What one rank fails of, the first tells to all.
type control struct {
	mu       sync.Mutex
	conns    []net.Conn // by rank; nil: none
	quitting atomic.Bool
	readers  sync.WaitGroup
}

// Kinds of notes. A note is its kind, the length of its text in four bytes, and its text.
const (
	noteFailed = 'F'
	noteQuit   = 'Q'
	maxNote    = 8 << 10
)

// noteTime is how long writing a note may take: to a rank that reads none it is not worth more.
const noteTime = 2 * time.Second

// tell sends why the group fails to all that are connected.
func (c *control) tell(reason string) { c.send(noteFailed, reason) }

func (c *control) send(kind byte, text string) {
	note := append([]byte{kind}, binary.LittleEndian.AppendUint32(nil, uint32(min(len(text), maxNote)))...)
	note = append(note, text[:min(len(text), maxNote)]...)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		if conn != nil {
			_ = conn.SetWriteDeadline(time.Now().Add(noteTime))
			_, _ = conn.Write(note) // to who is gone: the reader notices
		}
	}
}

// watch reads what comes from a rank until it ends, or the group does.
func (g *Group) watch(rank int, conn net.Conn) {
	g.control.mu.Lock()
	for len(g.control.conns) < g.Size() {
		g.control.conns = append(g.control.conns, nil)
	}
	g.control.conns[rank] = conn
	g.control.mu.Unlock()
	_ = conn.SetDeadline(time.Time{})
	g.control.readers.Go(func() {
		for {
			kind, text, err := readNote(conn)
			switch {
			case g.control.quitting.Load():
				return
			case err != nil:
				_ = g.Fail(gone(rank))
				return
			case kind == noteQuit:
				g.control.quitting.Store(true)
				g.breaks(ErrClosed)
				return
			case kind == noteFailed:
				_ = g.Fail(fmt.Errorf("%w: %s", ErrBroken, trimBroken(text)))
			}
		}
	})
}

func gone(rank int) error { return fmt.Errorf("%w: rank %d has gone", ErrBroken, rank) }

// trimBroken takes away what the receiver says again.
func trimBroken(text string) string {
	prefix := ErrBroken.Error() + ": "
	for len(text) > len(prefix) && text[:len(prefix)] == prefix {
		text = text[len(prefix):]
	}
	return text
}

func readNote(r io.Reader) (kind byte, text string, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", err
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > maxNote {
		return 0, "", errors.New("note is too long")
	}
	body := make([]byte, n)
	_, err = io.ReadFull(r, body)
	return head[0], string(body), err
}

// Close ends the group. The first rank tells the others that this is no failure.
func (g *Group) Close() error {
	g.once.Do(func() {
		if !g.control.quitting.Swap(true) && g.rank == 0 {
			g.control.send(noteQuit, "")
		}
		g.control.mu.Lock()
		for _, conn := range g.control.conns {
			if conn != nil {
				_ = conn.Close()
			}
		}
		g.control.mu.Unlock()
		g.breaks(ErrClosed)
		for _, n := range g.neighbours {
			if g.rank == 0 {
				n.breaks(ErrClosed)
			}
		}
		g.control.readers.Wait()
		for _, release := range g.release {
			release()
		}
	})
	return nil
}
