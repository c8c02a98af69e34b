package comm

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Config is what a rank knows of its group before it meets the others.
type Config struct {
	Rank, Size int
	Secret     []byte        // that all know; needed where the first rank listens to other machines
	Plan       string        // digest of the plan: all must have the same
	Version    string        // of the program: all must be the same
	Transport  string        // "auto": shared memory on one machine, TCP elsewhere; "shm"; "tcp"
	Wait       time.Duration // for all to come
	Timeout    time.Duration // how long a rank may stand still; 0: DefaultTimeout
}

// Transports are the values of Config.Transport.
var Transports = []string{"auto", transportShared, transportTCP}

const (
	transportShared = "shm"
	transportTCP    = "tcp"
)

// DefaultWait is how long ranks wait for each other at the start.
const DefaultWait = 2 * time.Minute

func (c *Config) host() string {
	if c.Transport == transportTCP {
		return ""
	}
	return hostID()
}

// Listen opens the address at which a first rank awaits the others. Without a secret it must be one that other machines do not reach.
func Listen(addr string, secret []byte) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && len(secret) == 0 {
		l.Close()
		return nil, fmt.Errorf("ranks on other machines could be anybody at %s: give all the same secret, in --rank-secret-file or LLMRUN_RANK_SECRET", addr)
	}
	return l, nil
}

// Lead is the first rank: it waits until all others have come, and tells them where they find each other. It closes the listener.
func Lead(ctx context.Context, l net.Listener, c Config) (*Group, error) {
	m := newMeeting(ctx, l, c)
	defer m.end()
	g := newGroup(0, c.Size, c.Timeout)
	err := m.gather(g)
	if err == nil {
		err = m.mesh(g)
	}
	if err != nil {
		_ = g.Fail(err)
		g.Close()
		return nil, err
	}
	return g, nil
}

// Join is any other rank: it finds the first at addr, for which it may have to wait.
func Join(ctx context.Context, addr string, c Config) (*Group, error) {
	var first *talk
	h := hello{"join", c.Rank, c.Size, c.Plan, c.Version, c.host(), ""}
	until := time.Now().Add(c.Wait)
	for first == nil {
		own, err := ownAddress(addr)
		if err == nil {
			m := newMeeting(ctx, own, c)
			h.Addr = own.Addr().String()
			if first, err = dial(addr, c.Secret, h); err == nil {
				return join(m, first)
			}
			m.end()
		}
		if ctx.Err() != nil || time.Now().After(until) {
			return nil, fmt.Errorf("rank %d does not reach the first rank at %s: %w", c.Rank, addr, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, nil
}

// ownAddress listens where the machine of the first rank sees this one.
func ownAddress(first string) (net.Listener, error) {
	probe, err := net.Dial("udp", first) // sends nothing: it asks for the way
	if err != nil {
		return nil, err
	}
	defer probe.Close()
	return net.Listen("tcp", net.JoinHostPort(probe.LocalAddr().(*net.UDPAddr).IP.String(), "0"))
}

func join(m *meeting, first *talk) (*Group, error) {
	defer m.end()
	_ = first.SetDeadline(m.until)
	err := first.read("acceptor", &m.welcome)
	switch {
	case errors.Is(err, errSecret):
		err = fmt.Errorf("the first rank at %s %w", first.RemoteAddr(), err)
	case err != nil:
		err = fmt.Errorf("the first rank at %s does not take rank %d: %w; do both have the same secret?", first.RemoteAddr(), m.Rank, err)
	case m.welcome.Error != "":
		err = errors.New(m.welcome.Error)
	case len(m.welcome.Hosts) != m.Size || len(m.welcome.Addrs) != m.Size || strings.ContainsAny(m.welcome.Session, "/.") || m.welcome.Session == "":
		err = errors.New("the first rank's welcome is not one to so many ranks")
	}
	if err != nil {
		first.Close()
		return nil, err
	}
	g := newGroup(m.Rank, m.Size, m.Timeout)
	g.watch(0, first.Conn)
	if err := m.mesh(g); err != nil {
		_ = g.Fail(err)
		g.Close()
		return nil, err
	}
	return g, nil
}

// meeting is the time until all ranks have their links.
type meeting struct {
	Config
	l       net.Listener
	until   time.Time
	welcome welcome
	came    chan *arrival
	done    chan struct{}
	stop    func() bool
}

// arrival is a connection that knows the secret.
type arrival struct {
	*talk
	hello
}

func newMeeting(ctx context.Context, l net.Listener, c Config) *meeting {
	m := &meeting{Config: c, l: l, until: time.Now().Add(c.Wait), came: make(chan *arrival), done: make(chan struct{})}
	m.stop = context.AfterFunc(ctx, func() { l.Close() })
	go m.accept()
	return m
}

func (m *meeting) end() {
	m.stop()
	m.l.Close()
	close(m.done)
}

// maxStrangers bounds connections that have not shown yet that they know the secret.
const maxStrangers = 2 * 64

// accept takes connections until the meeting ends; those that do not know the secret are closed, and nobody hears of them.
func (m *meeting) accept() {
	room := make(chan struct{}, maxStrangers)
	for {
		conn, err := m.l.Accept()
		if err != nil {
			close(room)
			return
		}
		select {
		case room <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		go func() {
			t, h, err := accept(conn, m.Secret)
			<-room
			if err != nil {
				conn.Close()
				return
			}
			select {
			case m.came <- &arrival{t, h}:
			case <-m.done:
				conn.Close()
			}
		}()
	}
}

// next returns the next arrival of a kind.
func (m *meeting) next(kind string, missing func() string) (*arrival, error) {
	timer := time.NewTimer(time.Until(m.until))
	defer timer.Stop()
	for {
		select {
		case a := <-m.came:
			if a.hello.Kind == kind {
				return a, nil
			}
			a.Conn.Close()
		case <-timer.C:
			return nil, fmt.Errorf("%s did not come within %v", missing(), m.Wait)
		}
	}
}

// gather waits for all ranks and welcomes them.
func (m *meeting) gather(g *Group) error {
	came := make([]*arrival, m.Size)
	defer func() {
		for _, a := range came {
			if a != nil && g.control.conns == nil {
				a.Conn.Close()
			}
		}
	}()
	m.welcome.Hosts, m.welcome.Addrs = make([]string, m.Size), make([]string, m.Size)
	m.welcome.Hosts[0], m.welcome.Addrs[0] = m.host(), m.l.Addr().String()
	for range m.Size - 1 {
		a, err := m.next("join", func() string { return missingRanks(came) })
		if err != nil {
			return err
		}
		if err := m.refuse(a, came); err != nil {
			_ = a.write("acceptor", welcome{Error: err.Error()})
			a.Conn.Close()
			return err
		}
		came[a.Rank] = a
		m.welcome.Hosts[a.Rank], m.welcome.Addrs[a.Rank] = a.Host, a.Addr
	}
	var session [12]byte
	_, _ = rand.Read(session[:])
	m.welcome.Session = hex.EncodeToString(session[:])
	for rank, a := range came {
		if a == nil {
			continue
		}
		_ = a.SetDeadline(time.Now().Add(helloTime))
		if err := a.write("acceptor", m.welcome); err != nil {
			return fmt.Errorf("rank %d: %w", rank, err)
		}
	}
	for rank, a := range came {
		if a != nil {
			g.watch(rank, a.Conn)
		}
	}
	return nil
}

func missingRanks(came []*arrival) string {
	var missing []string
	for r := 1; r < len(came); r++ {
		if came[r] == nil {
			missing = append(missing, fmt.Sprint(r))
		}
	}
	if len(missing) == 1 {
		return "rank " + missing[0]
	}
	return "ranks " + strings.Join(missing, ", ")
}

// refuse says what is wrong with a rank that has come.
func (m *meeting) refuse(a *arrival, came []*arrival) error {
	switch {
	case a.Size != m.Size:
		return fmt.Errorf("rank %d was started as one of %d, the first rank as one of %d", a.Rank, a.Size, m.Size)
	case a.Rank < 1 || a.Rank >= m.Size:
		return fmt.Errorf("there is no rank %d among %d", a.Rank, m.Size)
	case came[a.Rank] != nil:
		return fmt.Errorf("two ranks say that they are rank %d", a.Rank)
	case a.hello.Plan != m.Plan:
		return fmt.Errorf("rank %d has another plan (%.71s) than the first (%.71s): give all the same file", a.Rank, a.hello.Plan, m.Plan)
	case a.hello.Version != m.Version:
		return fmt.Errorf("rank %d runs llmrun %.64q, the first %.64q: run the same", a.Rank, a.hello.Version, m.Version)
	case m.Transport == transportShared && (a.Host == "" || a.Host != m.host()):
		return fmt.Errorf("rank %d can not share memory with the first: take --rank-transport auto", a.Rank)
	}
	return nil
}

// shares tells whether two ranks share memory.
func (m *meeting) shares(i, j int) bool {
	return m.welcome.Hosts[i] != "" && m.welcome.Hosts[i] == m.welcome.Hosts[j]
}

// mesh makes the links to all other ranks: the lower of two makes what both share, or takes the connection of the higher.
func (m *meeting) mesh(g *Group) error {
	expected := 0
	for other := range m.Size {
		if other == m.Rank {
			continue
		}
		switch shares := m.shares(m.Rank, other); {
		case shares && other > m.Rank:
			memory, release, err := createShared(m.welcome.Session, m.Rank, other)
			if err != nil {
				return err
			}
			g.overMemory(other, newLink(memory, true), release)
		case shares:
			memory, release, err := openShared(m.welcome.Session, other, m.Rank, m.until)
			if err != nil {
				return err
			}
			g.overMemory(other, newLink(memory, false), release)
		case other > m.Rank:
			expected++
		default:
			t, err := dial(m.welcome.Addrs[other], m.Secret, hello{Kind: "link", Rank: m.Rank, Size: m.Size, Plan: m.welcome.Session})
			if err != nil {
				return fmt.Errorf("rank %d does not reach rank %d at %s: %w", m.Rank, other, m.welcome.Addrs[other], err)
			}
			if err := t.read("acceptor", &welcome{}); err != nil {
				t.Close()
				return fmt.Errorf("rank %d at %s: %w", other, m.welcome.Addrs[other], err)
			}
			if err := g.overTCP(other, t.Conn); err != nil {
				return err
			}
		}
	}
	return m.takeLinks(g, expected)
}

// takeLinks takes the connections of higher ranks on other machines.
func (m *meeting) takeLinks(g *Group, expected int) error {
	for expected > 0 {
		a, err := m.next("link", func() string { return "a link of another rank" })
		if err != nil {
			return err
		}
		if a.Rank <= m.Rank || a.Rank >= m.Size || g.links[a.Rank] != nil || a.hello.Plan != m.welcome.Session || slices.Contains(g.kinds[a.Rank:a.Rank+1], transportShared) {
			a.Conn.Close()
			continue
		}
		if err := a.write("acceptor", welcome{}); err != nil {
			return fmt.Errorf("rank %d: %w", a.Rank, err)
		}
		if err := g.overTCP(a.Rank, a.Conn); err != nil {
			return err
		}
		expected--
	}
	return nil
}

func (g *Group) overMemory(rank int, l *link, release func()) {
	g.links[rank], g.kinds[rank] = l, transportShared
	g.release = append(g.release, release)
}

// Local returns the ranks of a group in one process, which share memory.
func Local(size int, timeout time.Duration) []*Group {
	groups := make([]*Group, size)
	for r := range groups {
		groups[r] = newGroup(r, size, timeout)
	}
	for i := range groups {
		for j := i + 1; j < size; j++ {
			memory := aligned(linkBytes)
			groups[i].overMemory(j, newLink(memory, true), func() {})
			groups[j].overMemory(i, newLink(memory, false), func() {})
		}
	}
	for i, g := range groups { // what one fails of, all know
		g.neighbours = append(slices.Clone(groups[:i]), groups[i+1:]...)
	}
	return groups
}
