package kvevents

import (
	"encoding/binary"
	"strings"
)

// mostTopics bounds what a subscriber may ask for.
const mostTopics = 64

// subscriber is a peer of the port where events are published.
type subscriber struct {
	*peer
	out    chan []byte
	topics map[string]int // beginnings, and how often each was asked for; under the publisher's lock
}

// wants tells whether the peer has asked for a topic. The caller holds the lock.
func (s *subscriber) wants(topic string) bool {
	for beginning := range s.topics {
		if strings.HasPrefix(topic, beginning) {
			return true
		}
	}
	return false
}

// subscribe serves a subscriber until either side ends it.
func (p *Publisher) subscribe(who *peer) {
	s := &subscriber{peer: who, out: make(chan []byte, behind), topics: map[string]int{}}
	p.mu.Lock()
	p.subscribers[s] = struct{}{}
	p.mu.Unlock()
	ended := make(chan struct{})
	p.all.Go(func() {
		defer close(ended)
		p.listenTo(s)
	})
	defer func() {
		who.conn.Close()
		p.mu.Lock()
		delete(p.subscribers, s)
		p.mu.Unlock()
		<-ended
	}()
	for {
		select {
		case wire := <-s.out:
			if who.send(wire) != nil {
				return
			}
		case <-ended:
			return
		}
	}
}

// listenTo takes what a subscriber asks for: 1 and the beginning of topics that it wants, or 0 and one that it no longer wants.
func (p *Publisher) listenTo(s *subscriber) {
	for {
		frames, err := s.message()
		if err != nil || len(frames) != 1 || len(frames[0]) == 0 || frames[0][0] > 1 {
			return
		}
		topic := string(frames[0][1:])
		p.mu.Lock()
		if frames[0][0] == 1 {
			s.topics[topic]++
		} else if s.topics[topic]--; s.topics[topic] <= 0 {
			delete(s.topics, topic)
		}
		many := len(s.topics) > mostTopics
		p.mu.Unlock()
		if many {
			return
		}
	}
}

// endOfReplay is the number behind the last batch of an answer.
const endOfReplay = ^uint64(0)

// replay answers a peer of the port for what was missed: the number of a batch, eight bytes, gets all that are kept from there on, each as its number and content. Requests of REQ
// sockets begin with an empty frame, and so do their answers.
func (p *Publisher) replay(who *peer) {
	for {
		frames, err := who.message()
		if err != nil {
			return
		}
		var before [][]byte
		if len(frames) > 1 && len(frames[0]) == 0 {
			before, frames = frames[:1], frames[1:]
		}
		if len(frames) != 1 || len(frames[0]) != 8 {
			return
		}
		from := binary.BigEndian.Uint64(frames[0])
		for _, b := range append(p.since(from), batch{endOfReplay, nil}) {
			if who.send(message(append(before[:len(before):len(before)], numbered(b.number), b.payload)...)) != nil {
				return
			}
		}
	}
}

// since returns the kept batches from a number on.
func (p *Publisher) since(number uint64) []batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, b := range p.kept {
		if b.number >= number {
			return append([]batch(nil), p.kept[i:]...)
		}
	}
	return nil
}
