package comm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Group is one rank's view of all. Exchange, Send and Receive are called by one goroutine at a time.
type Group struct {
	rank    int
	links   []*link // by rank; nil: itself
	kinds   []string
	timeout time.Duration
	broken  atomic.Pointer[error] // why; nil: all is well
	lost    chan struct{}         // closed when it is broken
	control control
	release []func()
	once    sync.Once
	heads   [][2][headerBytes]byte // by rank: of the message that is sent, and of the one that is received
	parts   []progress
	seen    Traffic
	// neighbours are the other ranks of a group in one process.
	neighbours []*Group
}

// Traffic counts what a rank has exchanged.
type Traffic struct {
	Exchanges, Sent int64         // Sent is bytes, headers not counted
	Time            time.Duration // in exchanges, waiting for slower ranks included
}

// Message is bytes to or from a rank. The receiver knows how many there will be.
type Message struct {
	Rank int
	Data []byte
}

// headerBytes: a tag, and the number of bytes that follow.
const headerBytes = 16

// DefaultTimeout is how long a rank may stand still before the others give it up.
const DefaultTimeout = 2 * time.Minute

func newGroup(rank, size int, timeout time.Duration) *Group {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &Group{rank: rank, links: make([]*link, size), kinds: make([]string, size), timeout: timeout, heads: make([][2][headerBytes]byte, size), lost: make(chan struct{})}
}

// Rank is the number of this rank.
func (g *Group) Rank() int { return g.rank }

// Size is how many ranks there are.
func (g *Group) Size() int { return len(g.links) }

// Transport says what carries bytes to a rank: "shm", "tcp", or "" to itself.
func (g *Group) Transport(rank int) string { return g.kinds[rank] }

// Timeout is how long a rank may stand still.
func (g *Group) Timeout() time.Duration { return g.timeout }

// Traffic returns what has been exchanged so far.
func (g *Group) Traffic() Traffic { return g.seen }

// Err is why the group is of no use any more, nil while it is.
func (g *Group) Err() error {
	if p := g.broken.Load(); p != nil {
		return *p
	}
	return nil
}

// Fail breaks the group: every rank that waits for another stops waiting, with the reason.
func (g *Group) Fail(reason error) error {
	if !errors.Is(reason, ErrBroken) {
		reason = fmt.Errorf("%w: rank %d: %w", ErrBroken, g.rank, reason)
	}
	if g.breaks(reason) {
		g.control.tell(reason.Error())
		for _, n := range g.neighbours {
			n.breaks(reason)
		}
	}
	return g.Err()
}

// breaks tells whether this is the first reason.
func (g *Group) breaks(reason error) bool {
	first := g.broken.CompareAndSwap(nil, &reason)
	if first {
		close(g.lost)
	}
	return first
}

// Ended is closed when the group is of no use any more; Err says why.
func (g *Group) Ended() <-chan struct{} { return g.lost }

// progress is how far a message is.
type progress struct {
	rank int
	way  way
	head []byte
	body []byte
	done int // bytes of head and body
	send bool
}

// Exchange sends messages and receives others, all at once: it returns when the last has been received and the last byte sent is on its way. tag is what the other side
// must have given too. At most one message goes to each rank, and one comes from each.
func (g *Group) Exchange(tag uint64, sends, receives []Message) error {
	g.parts = g.parts[:0]
	for _, m := range sends {
		head := g.heads[m.Rank][0][:]
		binary.LittleEndian.PutUint64(head, tag)
		binary.LittleEndian.PutUint64(head[8:], uint64(len(m.Data)))
		g.parts = append(g.parts, progress{m.Rank, g.links[m.Rank].out, head, m.Data, 0, true})
		g.seen.Sent += int64(len(m.Data))
	}
	for _, m := range receives {
		g.parts = append(g.parts, progress{m.Rank, g.links[m.Rank].in, g.heads[m.Rank][1][:], m.Data, 0, false})
	}
	g.seen.Exchanges++
	begun := time.Now()
	err := g.finish(tag, g.timeout)
	g.seen.Time += time.Since(begun)
	return err
}

// finish moves all parts to their end. The parts that are done leave the list.
func (g *Group) finish(tag uint64, timeout time.Duration) error {
	w := waiter{timeout: timeout}
	for len(g.parts) > 0 {
		moved := false
		for i := 0; i < len(g.parts); {
			p := &g.parts[i]
			n, err := p.move(tag)
			if err != nil {
				if err = g.ended(p.rank, err); errors.Is(err, ErrClosed) {
					return err
				}
				return g.Fail(fmt.Errorf("rank %d: %w", p.rank, err))
			}
			moved = moved || n > 0
			if p.done == len(p.head)+len(p.body) {
				g.parts[i] = g.parts[len(g.parts)-1]
				g.parts = g.parts[:len(g.parts)-1]
				continue
			}
			i++
		}
		if moved {
			w.progress()
			continue
		}
		if err := g.Err(); err != nil {
			return err
		}
		if len(g.parts) > 1 { // another may move first
			w.naps = min(w.naps, napsBefore-1)
		}
		if len(g.parts) > 0 {
			if err := g.parts[0].way.wait(&w); err != nil {
				return g.Fail(fmt.Errorf("rank %d does not answer: %w", g.parts[0].rank, err))
			}
		}
	}
	return nil
}

// move does what can be done without waiting.
func (p *progress) move(tag uint64) (int, error) {
	total := 0
	for p.done < len(p.head)+len(p.body) {
		var piece []byte
		if at := p.done - len(p.head); at >= 0 {
			piece = p.body[at:]
		} else {
			piece = p.head[p.done:]
		}
		n, err := p.way.move(piece)
		if err != nil || n == 0 {
			return total, err
		}
		p.done += n
		total += n
		if !p.send && p.done == len(p.head) {
			if err := p.check(tag); err != nil {
				return total, err
			}
		}
	}
	return total, nil
}

// check refuses a message that is not the one that is waited for: sides that have come apart.
func (p *progress) check(tag uint64) error {
	if got := binary.LittleEndian.Uint64(p.head); got != tag {
		return fmt.Errorf("sent message %#x where %#x was due", got, tag)
	}
	if got := binary.LittleEndian.Uint64(p.head[8:]); got != uint64(len(p.body)) {
		return fmt.Errorf("sent %d bytes where %d were due", got, len(p.body))
	}
	return nil
}
