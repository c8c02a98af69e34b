package kvevents

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"llmc/runtime/kv"
)

// Options say where events go. Addresses are those of ZeroMQ over TCP: tcp://*:PORT is listened on, tcp://HOST:PORT is connected to.
type Options struct {
	Host    string // that * stands for; "": all of the machine's addresses
	Address string
	Replay  string // where subscribers ask for batches that they have missed, always listened on; "": nowhere
	Topic   string // in front of every batch, such as kv@POD@MODEL
	Log     *slog.Logger
}

const (
	// waiting is how many batches may wait to be published: a step never waits for that.
	waiting = 4 << 10
	// behind is how many messages a subscriber may be behind before it is cut off.
	behind = 4 << 10
	// keptBatches and keptBytes bound what can be asked for again.
	keptBatches, keptBytes = 10_000, 64 << 20
	// mostPeers bounds the connections to each port.
	mostPeers    = 64
	writeTimeout = 10 * time.Second
	redialAfter  = time.Second
)

// Publisher publishes events.
type Publisher struct {
	options Options
	queue   chan step
	lost    bool          // steps since the last one in the queue; Publish's own
	dropped atomic.Uint64 // steps in all
	pages   int           // positions of a page; from Begin on
	stop    context.CancelFunc
	over    context.Context
	all     sync.WaitGroup
	open    []net.Listener

	mu          sync.Mutex // guards what follows
	subscribers map[*subscriber]struct{}
	next        uint64 // number of the next batch
	kept        []batch
	keptBytes   int
}

// step is what has happened in one.
type step struct {
	events []kv.Event
	gap    bool // steps before it are lost
}

// batch is one that can be asked for again.
type batch struct {
	number  uint64
	payload []byte
}

// Open listens, or begins to connect.
func Open(o Options) (*Publisher, error) {
	p := &Publisher{options: o, queue: make(chan step, waiting), subscribers: map[*subscriber]struct{}{}}
	if p.options.Log == nil {
		p.options.Log = slog.New(slog.DiscardHandler)
	}
	address, listens, err := o.parse(o.Address)
	if err != nil {
		return nil, err
	}
	p.over, p.stop = context.WithCancel(context.Background())
	if listens {
		err = p.listen(address, "PUB", p.subscribe)
	} else {
		p.all.Go(func() { p.dial(address) })
	}
	if err == nil && o.Replay != "" {
		if address, listens, err = o.parse(o.Replay); err == nil && !listens {
			err = fmt.Errorf("%.128q: is listened on: must be tcp://*:PORT", o.Replay)
		}
		if err == nil {
			err = p.listen(address, "ROUTER", p.replay)
		}
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// parse returns the address that Go listens on or dials.
func (o *Options) parse(text string) (address string, listens bool, err error) {
	u, err := url.Parse(strings.Replace(text, "*", "[::]", 1))
	if err != nil || u.Scheme != "tcp" || u.Port() == "" || u.Hostname() == "" || u.Path != "" {
		return "", false, fmt.Errorf("%.128q: must be tcp://*:PORT or tcp://HOST:PORT", text)
	}
	if u.Hostname() == "::" {
		return net.JoinHostPort(o.Host, u.Port()), true, nil
	}
	return u.Host, false, nil
}

// listen has each connection to an address served by serve, as a socket of a type.
func (p *Publisher) listen(address, socketType string, serve func(*peer)) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	p.open = append(p.open, l)
	room := make(chan struct{}, mostPeers)
	p.all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				if errors.Is(err, net.ErrClosed) {
					return
				}
				p.options.Log.Warn("events of the KV cache", "err", err)
				time.Sleep(redialAfter) // too many files, which passes
				continue
			}
			select {
			case room <- struct{}{}:
			default:
				conn.Close()
				continue
			}
			p.all.Go(func() {
				defer func() { <-room }()
				p.serve(conn, socketType, serve)
			})
		}
	})
	return nil
}

// dial keeps connected to a subscriber that listens.
func (p *Publisher) dial(address string) {
	dialer := net.Dialer{Timeout: handshakeTimeout}
	for p.over.Err() == nil {
		if conn, err := dialer.DialContext(p.over, "tcp", address); err != nil {
			p.options.Log.Debug("events of the KV cache", "err", err)
		} else {
			p.serve(conn, "PUB", p.subscribe)
		}
		select {
		case <-time.After(redialAfter):
		case <-p.over.Done():
		}
	}
}

func (p *Publisher) serve(conn net.Conn, socketType string, serve func(*peer)) {
	defer conn.Close()
	defer context.AfterFunc(p.over, func() { conn.Close() })()
	who, err := greet(conn, socketType)
	if err != nil {
		p.options.Log.Debug("events of the KV cache", "peer", conn.RemoteAddr(), "err", err)
		return
	}
	serve(who)
}

// Begin publishes what Publish is given from here on, of pages of so many positions.
func (p *Publisher) Begin(pageSize int) {
	p.pages = pageSize
	p.all.Go(p.run)
}

// Publish takes the events of a step, in their order, from one goroutine. It does not wait: where too much waits, subscribers see from the numbers of batches that one is missing.
func (p *Publisher) Publish(events []kv.Event) {
	select {
	case p.queue <- step{events, p.lost}:
		p.lost = false
	default:
		p.lost = true
		p.dropped.Add(1)
	}
}

// Dropped returns how many batches nobody was told.
func (p *Publisher) Dropped() uint64 { return p.dropped.Load() }

func (p *Publisher) run() {
	for {
		select {
		case s := <-p.queue:
			p.publish(encode(time.Now(), s.events, p.pages), s.gap)
		case <-p.over.Done():
			return
		}
	}
}

// publish numbers a batch, keeps it, and gives it to those who want it.
func (p *Publisher) publish(payload []byte, gap bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if gap {
		p.next++
	}
	number := p.next
	p.next++
	p.kept, p.keptBytes = append(p.kept, batch{number, payload}), p.keptBytes+len(payload)
	for len(p.kept) > keptBatches || p.keptBytes > keptBytes && len(p.kept) > 1 {
		p.keptBytes -= len(p.kept[0].payload)
		p.kept = p.kept[1:]
	}
	wire := message([]byte(p.options.Topic), numbered(number), payload)
	for s := range p.subscribers {
		if !s.wants(p.options.Topic) {
			continue
		}
		select {
		case s.out <- wire:
		default:
			s.conn.Close() // it comes back, and asks for what it has missed
			delete(p.subscribers, s)
		}
	}
}

func numbered(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Close ends all connections.
func (p *Publisher) Close() {
	p.stop()
	for _, l := range p.open {
		l.Close()
	}
	p.all.Wait()
}
