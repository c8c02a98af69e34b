package kvevents

import (
	"encoding/binary"
	"fmt"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"go.uber.org/goleak"

	"llmc/runtime/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds waits for what must happen; no test measures time.
const patience = 20 * time.Second

// stored are pages of two tokens, each behind the one before.
func stored(first, n int) (events []kv.Event) {
	for i := range n {
		e := kv.Event{Page: 1<<63 + uint64(first+i), Tokens: []int32{int32(first + i), 300}}
		if i > 0 {
			e.Parent = e.Page - 1
		}
		events = append(events, e)
	}
	return events
}

func removed(pages ...int) (events []kv.Event) {
	for _, n := range pages {
		events = append(events, kv.Event{Removed: true, Page: 1<<63 + uint64(n)})
	}
	return events
}

// decoded reads a batch as whoever knows nothing of types.
func decoded(t *testing.T, payload []byte) []any {
	t.Helper()
	var batch []any
	if err := msgpack.Unmarshal(payload, &batch); err != nil {
		t.Fatal(err)
	}
	return batch
}

func TestBatchesAreVLLMs(t *testing.T) {
	events := append(stored(1, 2), removed(8, 9)...)
	events = append(events, stored(5, 1)...)
	events[4].Adapter = 3
	got := decoded(t, encode(time.UnixMicro(1_500_000), events, 2))
	name := func(n uint64) any { return 1<<63 + n }
	want := []any{1.5, []any{
		[]any{"BlockStored", []any{name(1), name(2)}, nil, []any{int8(1), uint16(300), int8(2), uint16(300)}, int8(2), nil, "GPU", nil},
		[]any{"BlockRemoved", []any{name(8), name(9)}, "GPU"},
		[]any{"BlockStored", []any{name(5)}, nil, []any{int8(5), uint16(300)}, int8(2), int8(3), "GPU", "adapter-3"},
	}, int8(0)}
	if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		t.Errorf("%#v,\nwant %#v", got, want)
	}
	later := stored(4, 2)[1:]
	if batch := decoded(t, encode(time.Now(), later, 2)); !reflect.DeepEqual(batch[1].([]any)[0].([]any)[2], name(4)) {
		t.Errorf("parent of a later page: %v", batch)
	}
}

// open starts a publisher on free ports.
func open(t *testing.T, o Options) (p *Publisher, address, replay string) {
	t.Helper()
	o.Host = "127.0.0.1"
	if o.Address == "" {
		o.Address = "tcp://*:0"
	}
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	p.Begin(2)
	port := func(i int) string {
		return fmt.Sprintf("127.0.0.1:%d", p.open[i].Addr().(*net.TCPAddr).Port)
	}
	if len(p.open) > 0 {
		address = port(0)
	}
	if len(p.open) > 1 {
		replay = port(1)
	}
	return p, address, replay
}

// dialled is a peer of a port.
func dialled(t *testing.T, address, socketType string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	who, err := greet(conn, socketType)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return who
}

// subscribed is a subscriber whose topic the publisher knows.
func subscribed(t *testing.T, p *Publisher, address, topic string) *peer {
	t.Helper()
	who := dialled(t, address, "SUB")
	send(t, who, "\x01"+topic)
	known := func() (n int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for s := range p.subscribers {
			n += s.topics[topic]
		}
		return n
	}
	until(t, func() bool { return known() > 0 })
	return who
}

func until(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to that")
		}
	}
}

func send(t *testing.T, who *peer, frames ...string) {
	t.Helper()
	var all [][]byte
	for _, f := range frames {
		all = append(all, []byte(f))
	}
	if _, err := who.conn.Write(message(all...)); err != nil {
		t.Fatal(err)
	}
}

// next reads a message of a topic and returns its number and content.
func next(t *testing.T, who *peer, topic string) (number uint64, payload []byte) {
	t.Helper()
	frames, err := who.messageOf(1 << 20)
	if err != nil || len(frames) != 3 || string(frames[0]) != topic || len(frames[1]) != 8 {
		t.Fatalf("%q, %v", frames, err)
	}
	return binary.BigEndian.Uint64(frames[1]), frames[2]
}

func TestSubscribersGetWhatTheyAskFor(t *testing.T) {
	p, address, _ := open(t, Options{Topic: "kv@pod@model"})
	mine, others := subscribed(t, p, address, "kv@pod"), subscribed(t, p, address, "other")
	for i := range 3 {
		p.Publish(stored(i, 200)) // long frames too
	}
	for i := range uint64(3) {
		if number, payload := next(t, mine, "kv@pod@model"); number != i || len(decoded(t, payload)) != 3 {
			t.Errorf("batch %d, want %d", number, i)
		}
	}
	send(t, mine, "\x00kv@pod")
	send(t, others, "\x01")
	until(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		all, some := 0, 0
		for s := range p.subscribers {
			all, some = all+s.topics[""], some+s.topics["kv@pod"]
		}
		return all == 1 && some == 0
	})
	p.Publish(removed(1))
	if number, _ := next(t, others, "kv@pod@model"); number != 3 {
		t.Errorf("batch %d", number)
	}
}

// Subscribers that listen are connected to, again and again.
func TestSubscribersThatListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, _, _ := open(t, Options{Address: "tcp://" + l.Addr().String(), Topic: "t"})
	for i := range uint64(2) {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		who, err := greet(conn, "SUB")
		if err != nil {
			t.Fatal(err)
		}
		send(t, who, "\x01t")
		until(t, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			for s := range p.subscribers {
				return s.wants("t")
			}
			return false
		})
		p.Publish(removed(1))
		if number, _ := next(t, who, "t"); number != i {
			t.Errorf("batch %d, want %d", number, i)
		}
		conn.Close()
		until(t, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.subscribers) == 0
		})
	}
}

func TestReplay(t *testing.T) {
	p, _, replay := open(t, Options{Topic: "t", Replay: "tcp://*:0"})
	for i := range 5 {
		p.Publish(removed(i))
	}
	until(t, func() bool { return len(p.since(0)) == 5 })
	for _, before := range [][]string{nil, {""}} { // of DEALER and of REQ
		who := dialled(t, replay, "REQ")
		for _, from := range []uint64{3, 0, 9} {
			send(t, who, append(before, string(numbered(from)))...)
			var got []uint64
			for len(got) == 0 || got[len(got)-1] != endOfReplay {
				frames, err := who.message()
				if err != nil || len(frames) != len(before)+2 {
					t.Fatalf("%q, %v", frames, err)
				}
				got = append(got, binary.BigEndian.Uint64(frames[len(before)]))
			}
			if want := max(0, 5-int(from)); len(got) != want+1 || want > 0 && got[0] != from {
				t.Errorf("from %d: %v", from, got)
			}
		}
	}
}

// Steps that find no room are a gap in the numbers, in front of the next that does.
func TestLostStepsAreSeen(t *testing.T) {
	p, err := Open(Options{Host: "127.0.0.1", Address: "tcp://*:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range waiting + 7 { // nobody publishes them yet
		p.Publish(removed(i))
	}
	if p.Dropped() != 7 {
		t.Errorf("%d steps are lost, want 7", p.Dropped())
	}
	p.Begin(2)
	until(t, func() bool { return len(p.since(waiting-1)) == 1 })
	p.Publish(removed(1))
	until(t, func() bool { return len(p.since(waiting+1)) == 1 })
	if len(p.since(waiting)) != 1 {
		t.Error("no gap")
	}
}

// Peers that are late, silent, too many, or speak nonsense are cut off, and others are not the worse for it.
func TestPeersThatDoNotBehave(t *testing.T) {
	p, address, replay := open(t, Options{Topic: "t", Replay: "tcp://*:0"})
	good := subscribed(t, p, address, "t")
	for name, bytes := range map[string]string{
		"nonsense": "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + string(make([]byte, 100)), "another version": "\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x01" + string(make([]byte, 53)),
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte(bytes)); err != nil {
			t.Fatal(err)
		}
		cut(t, name, conn)
	}
	for name, c := range map[string]struct{ address, bytes string }{
		"a frame of exabytes": {address, "\x02\x7f\xff\xff\xff\xff\xff\xff\xff"}, "no subscription": {address, "\x00\x02\x07t"}, "an empty one": {address, "\x00\x00"},
		"many frames": {replay, "\x01\x00\x01\x00\x01\x00\x01\x00\x01\x00\x01\x00\x01\x00\x01\x00\x01\x00"}, "no number": {replay, "\x00\x03abc"},
	} {
		who := dialled(t, c.address, "SUB")
		if _, err := who.conn.Write([]byte(c.bytes)); err != nil {
			t.Fatal(err)
		}
		cut(t, name, who.conn)
	}
	greedy := dialled(t, address, "SUB")
	for i := range mostTopics + 1 {
		send(t, greedy, fmt.Sprintf("\x01%d", i))
	}
	cut(t, "many topics", greedy.conn)
	p.Publish(removed(1))
	next(t, good, "t")
}

// A peer that does not read is cut off, and so are more than there is room for.
func TestPeersThatTakeTooMuch(t *testing.T) {
	p, address, _ := open(t, Options{Topic: "t"})
	good, deaf := subscribed(t, p, address, "t"), subscribed(t, p, address, "")
	for i := range 3 * behind {
		p.Publish(stored(0, 100))
		next(t, good, "t")
		if i%behind == 0 {
			p.mu.Lock()
			n := len(p.subscribers)
			p.mu.Unlock()
			if n == 1 {
				break
			}
		}
	}
	until(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.subscribers) == 1
	})
	_ = deaf
	var many []net.Conn
	for range 2 * mostPeers {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		many = append(many, conn)
	}
	cut(t, "one of too many", many[len(many)-1])
	p.Publish(removed(1))
	next(t, good, "t")
}

// cut wants a connection to be ended by the other side.
func cut(t *testing.T, name string, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<10)
	for {
		_, err := conn.Read(buf)
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Errorf("%s: is not cut off", name)
			return
		}
		if err != nil {
			return
		}
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"tcp://*:5557": "127.0.0.2:5557", "tcp://[::]:5557": "127.0.0.2:5557", "tcp://10.0.0.1:5557": "10.0.0.1:5557", "tcp://router.ns.svc:1": "router.ns.svc:1",
		"": "", "udp://*:1": "", "tcp://*": "", "tcp://:1": "", "tcp://h:1/x": "", "5557": "", "ipc:///tmp/x": "",
	} {
		got, listens, err := (&Options{Host: "127.0.0.2"}).parse(text)
		if got != want || (err == nil) != (want != "") || listens != (want == "127.0.0.2:5557") {
			t.Errorf("%q: %q, %v, %v", text, got, listens, err)
		}
	}
	if _, err := Open(Options{Host: "127.0.0.1", Address: "tcp://*:0", Replay: "tcp://127.0.0.1:1"}); err == nil {
		t.Error("a port for replays that is connected to")
	}
}
