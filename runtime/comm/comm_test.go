package comm

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// meet returns the ranks of a group that have met over loopback.
func meet(t *testing.T, size int, change func(c *Config)) ([]*Group, []error) {
	t.Helper()
	groups, errs := make([]*Group, size), make([]error, size)
	config := func(rank int) Config {
		c := Config{Rank: rank, Size: size, Secret: []byte("s"), Plan: "p", Version: "v", Transport: "auto", Wait: 10 * time.Second, Timeout: 10 * time.Second}
		if change != nil {
			change(&c)
		}
		return c
	}
	l, err := Listen("127.0.0.1:0", []byte("s"))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() { groups[0], errs[0] = Lead(t.Context(), l, config(0)) })
	for r := 1; r < size; r++ {
		all.Go(func() { groups[r], errs[r] = Join(t.Context(), l.Addr().String(), config(r)) })
	}
	all.Wait()
	t.Cleanup(func() {
		for _, g := range groups {
			if g != nil {
				g.Close()
			}
		}
	})
	return groups, errs
}

// met is meet of ranks that find nothing wrong.
func met(t *testing.T, size int, change func(c *Config)) []*Group {
	t.Helper()
	groups, errs := meet(t, size, change)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return groups
}

// payload is what rank from sends rank to in a round: bytes that only this message has.
func payload(seed uint64, from, to, round, size int) []byte {
	rng := rand.New(rand.NewPCG(seed+uint64(from), uint64(to*1000+round)))
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}

// exchanges has all ranks send all others something each round, little and much, empty and longer than a ring.
func exchanges(t *testing.T, groups []*Group, rounds int) {
	t.Helper()
	sizes := rand.New(rand.NewPCG(3, 4))
	table := make([][]int, rounds)
	for r := range table {
		for range len(groups) * len(groups) {
			n := []int{0, 1, 17, 4096, sizes.IntN(70000), ringBytes + sizes.IntN(9000)}[sizes.IntN(6)]
			table[r] = append(table[r], n)
		}
	}
	errs := make([]error, len(groups))
	var all sync.WaitGroup
	for me, g := range groups {
		all.Go(func() {
			for round, sizes := range table {
				var sends, receives []Message
				for other := range groups {
					if other == me {
						continue
					}
					sends = append(sends, Message{other, payload(9, me, other, round, sizes[me*len(groups)+other])})
					receives = append(receives, Message{other, make([]byte, sizes[other*len(groups)+me])})
				}
				if errs[me] = g.Exchange(uint64(round), sends, receives); errs[me] != nil {
					return
				}
				for _, m := range receives {
					if !bytes.Equal(m.Data, payload(9, m.Rank, me, round, len(m.Data))) {
						errs[me] = fmt.Errorf("round %d: rank %d has other bytes than rank %d sent", round, me, m.Rank)
						return
					}
				}
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

// TestExchanges wants every byte where it belongs, over each transport.
func TestExchanges(t *testing.T) {
	t.Run("local", func(t *testing.T) { exchanges(t, Local(3, time.Minute), 6) })
	for _, transport := range []string{"shm", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			groups := met(t, 3, func(c *Config) { c.Transport = transport })
			for r, g := range groups {
				if other := (r + 1) % 3; g.Transport(other) != transport || g.Rank() != r {
					t.Errorf("rank %d reaches rank %d by %q", g.Rank(), other, g.Transport(other))
				}
			}
			exchanges(t, groups, 6)
		})
	}
	t.Run("mixed", func(t *testing.T) { // ranks 0 and 2 share memory, 1 does not
		groups := met(t, 3, func(c *Config) {
			if c.Rank == 1 {
				c.Transport = "tcp"
			}
		})
		if groups[0].Transport(1) != "tcp" || groups[0].Transport(2) != "shm" {
			t.Errorf("transports %q and %q", groups[0].Transport(1), groups[0].Transport(2))
		}
		exchanges(t, groups, 5)
	})
}

// TestCommands sends what the receiver knows nothing of, and refuses an exchange where a command is due.
func TestCommands(t *testing.T) {
	groups := met(t, 2, nil)
	var all sync.WaitGroup
	long := payload(1, 0, 1, 0, ringBytes+99)
	all.Go(func() {
		for _, data := range [][]byte{[]byte("abc"), nil, long} {
			if err := groups[0].Send(1, 7, data); err != nil {
				t.Error(err)
			}
		}
		_ = groups[0].Exchange(5, []Message{{1, []byte("x")}}, nil)
	})
	var buf []byte
	for _, want := range [][]byte{[]byte("abc"), {}, long} {
		kind, got, err := groups[1].Receive(0, true, buf)
		if buf = got; err != nil || kind != 7 || !bytes.Equal(got, want) {
			t.Fatalf("kind %d, %d bytes, %v; want %d", kind, len(got), err, len(want))
		}
	}
	all.Wait()
	if _, _, err := groups[1].Receive(0, true, nil); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "where a command was due") {
		t.Errorf("%v", err)
	}
}

// within fails when work takes longer than ranks may.
func within(t *testing.T, work func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { work(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("a rank waits for ever")
	}
}

// TestLostRanks wants everybody who waits to hear of a rank that has gone, or fails, or sends what nobody expects, and why.
func TestLostRanks(t *testing.T) {
	for _, transport := range []string{"shm", "tcp"} {
		for _, c := range []struct {
			name string
			act  func(g *Group) // of rank 2
			want string
		}{
			{"fails", func(g *Group) { _ = g.Fail(errors.New("no memory left")) }, "rank 2: no memory left"},
			{"goes", func(g *Group) {
				for _, conn := range g.control.conns {
					if conn != nil {
						conn.Close()
					}
				}
			}, "rank 2 has gone"},
			{"other tag", func(g *Group) { _ = g.Exchange(8, []Message{{0, nil}, {1, nil}}, nil) }, "where 0x7 was due"},
			{"other size", func(g *Group) { _ = g.Exchange(7, []Message{{0, []byte("x")}, {1, []byte("x")}}, nil) }, "sent 1 bytes where 0 were due"},
		} {
			t.Run(transport+"/"+c.name, func(t *testing.T) {
				groups := met(t, 3, func(c *Config) { c.Transport = transport })
				var all sync.WaitGroup
				for r := range 2 {
					all.Go(func() {
						err := groups[r].Exchange(7, nil, []Message{{2, nil}, {1 - r, []byte("never")}})
						if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), c.want) {
							t.Errorf("rank %d: %v, want %q", r, err, c.want)
						}
						<-groups[r].Ended()
					})
				}
				c.act(groups[2])
				within(t, all.Wait)
			})
		}
	}
}

// TestRanksThatStandStill are given up, by name.
func TestRanksThatStandStill(t *testing.T) {
	groups := met(t, 3, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	within(t, func() {
		err := groups[0].Exchange(1, []Message{{1, nil}}, []Message{{1, nil}})
		if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "rank 1 does not answer") {
			t.Errorf("%v", err)
		}
		<-groups[2].Ended() // hears of it
	})
	if err := groups[2].Err(); !strings.Contains(err.Error(), "rank 1 does not answer") {
		t.Errorf("rank 2 hears %v", err)
	}
}

// TestMeetingsAreRefused when ranks do not belong together.
func TestMeetingsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(c *Config)
		want   string
		all    bool // the first rank hears of it too
	}{
		{"plan", func(c *Config) { c.Plan = fmt.Sprint(c.Rank) }, "has another plan", true},
		{"version", func(c *Config) { c.Version = fmt.Sprint(c.Rank) }, "run the same", true},
		{"size", func(c *Config) { c.Size += c.Rank }, "was started as one of 3, the first rank as one of 2", true},
		{"rank", func(c *Config) { c.Rank *= 2 }, "there is no rank 2 among 2", true},
		{"secret", func(c *Config) {
			c.Wait = 300 * time.Millisecond
			c.Secret = []byte(fmt.Sprint(c.Rank))
		}, "same secret", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errs := meet(t, 2, c.change)
			if errs[1] == nil || !strings.Contains(errs[1].Error(), c.want) {
				t.Errorf("the rank hears %v", errs[1])
			}
			if want := map[bool]string{true: c.want, false: "rank 1 did not come"}[c.all]; errs[0] == nil || !strings.Contains(errs[0].Error(), want) {
				t.Errorf("the first rank hears %v, want %q", errs[0], want)
			}
		})
	}
	if l, err := Listen("0.0.0.0:0", nil); err == nil || !strings.Contains(err.Error(), "give all the same secret") {
		t.Errorf("%v, %v: whoever comes is taken", l, err)
	}
}

// TestStrangers wants a meeting that others talk to nonetheless.
func TestStrangers(t *testing.T) {
	l, err := Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Size: 2, Plan: "p", Version: "v", Transport: "tcp", Wait: 10 * time.Second}
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", strings.Repeat("\xff", 200), ""} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte(text))
	}
	var all sync.WaitGroup
	for rank := range 2 {
		all.Go(func() {
			c, g := c, (*Group)(nil)
			var err error
			if c.Rank = rank; rank == 0 {
				g, err = Lead(t.Context(), l, c)
			} else {
				g, err = Join(t.Context(), l.Addr().String(), c)
			}
			if err != nil {
				t.Error(err)
				return
			}
			g.Close()
		})
	}
	within(t, all.Wait)
}

// TestDamagedRings wants counters that can not be refused: another process writes them.
func TestDamagedRings(t *testing.T) {
	groups := Local(2, time.Minute)
	groups[1].links[0].out.(ringOut).written.Store(1 << 40)
	err := groups[0].Exchange(1, nil, []Message{{1, make([]byte, 8)}})
	if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "says that it holds") {
		t.Errorf("%v", err)
	}
	if _, err := groups[1].Size(), groups[1].Err(); err == nil {
		t.Error("the other rank does not hear of it")
	}
}

// BenchmarkExchange is the time of an exchange of two ranks, by bytes that each sends.
func BenchmarkExchange(b *testing.B) {
	for _, size := range []int{64, 4 << 10, 256 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			groups := Local(2, time.Minute)
			var all sync.WaitGroup
			for me, g := range groups {
				all.Go(func() {
					out, in := make([]byte, size), make([]byte, size)
					for i := range b.N {
						if err := g.Exchange(uint64(i), []Message{{1 - me, out}}, []Message{{1 - me, in}}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.SetBytes(int64(size))
		})
	}
}
