package prefill

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"llmc/internal/dial"
)

// servers are those that can be asked: a name that stands for several addresses, such as that of a headless Service, is a server for each.
type servers struct {
	security *tls.Config
	seed     maphash.Seed
	now      func() time.Time
	lookup   func(ctx context.Context, host string) ([]string, error)

	mu       sync.Mutex // guards what follows
	names    []*url.URL
	list     []*server
	resolved time.Time     // when names were looked up
	looking  chan struct{} // closed when they have been; nil: nobody does
}

// server is one address.
type server struct {
	url     string // by its name
	address string // host and port that are dialled
	http    *http.Client
	asked   int       // questions without an answer yet
	resting time.Time // it is not asked before
	rest    time.Duration
}

const (
	// firstRest and longestRest are how long a server is left alone that has failed: twice as long each time.
	firstRest, longestRest = time.Second, time.Minute
	// affine is how many more questions a server may have than another to be asked all the same, since it knows the beginning of the prompt best.
	affine = 2
	// beginning is how many tokens make prompts alike for that.
	beginning = 64
	// resolveEvery is how old the addresses of names may be, and resolveTimeout how long looking them up may take.
	resolveEvery, resolveTimeout = 10 * time.Second, 5 * time.Second
)

var defaultPorts = map[string]string{"http": "80", "https": "443"}

// newServers checks addresses. None is looked up yet.
func newServers(list []string, files *dial.Files) (*servers, error) {
	s := &servers{seed: maphash.MakeSeed(), now: time.Now, lookup: net.DefaultResolver.LookupHost}
	secure := false
	for _, text := range list {
		address, err := url.Parse(text)
		if err != nil || defaultPorts[address.Scheme] == "" || address.Hostname() == "" || address.User != nil || address.RawQuery != "" || address.Fragment != "" {
			return nil, fmt.Errorf("server of prompts %.128q: must be http://HOST:PORT or https://HOST:PORT", text)
		}
		secure = secure || address.Scheme == "https"
		s.names = append(s.names, address)
	}
	var err error
	if s.security, err = files.TLS(); err != nil {
		return nil, err
	}
	if !secure && (files.CA != "" || files.Cert != "") {
		return nil, errors.New("certificates are for servers of prompts with https, there is none")
	}
	return s, nil
}

func (s *servers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.list {
		one.http.CloseIdleConnections()
	}
}

// resolve has names looked up that have not been for a while, and waits for that only while there is no address at all.
func (s *servers) resolve(ctx context.Context) {
	s.mu.Lock()
	if s.looking == nil && s.now().Sub(s.resolved) >= resolveEvery {
		s.looking = make(chan struct{})
		go s.look()
	}
	looking, wait := s.looking, len(s.list) == 0
	s.mu.Unlock()
	if looking != nil && wait {
		select {
		case <-looking:
		case <-ctx.Done():
		}
	}
}

// look looks all names up. One that can not be looked up keeps the addresses that it had.
func (s *servers) look() {
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	found := map[string][]string{}
	for _, name := range s.names {
		hosts, err := s.lookup(ctx, name.Hostname())
		if err != nil {
			continue
		}
		port := name.Port()
		if port == "" {
			port = defaultPorts[name.Scheme]
		}
		for _, host := range hosts {
			found[name.String()] = append(found[name.String()], net.JoinHostPort(host, port))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, addresses := range found {
		s.replace(strings.TrimSuffix(name, "/")+Path, addresses)
	}
	close(s.looking)
	s.looking, s.resolved = nil, s.now()
}

// replace gives a name its addresses. The caller holds the lock.
func (s *servers) replace(name string, addresses []string) {
	s.list = slices.DeleteFunc(s.list, func(one *server) bool {
		gone := one.url == name && !slices.Contains(addresses, one.address)
		if gone {
			one.http.CloseIdleConnections()
		}
		return gone
	})
	for _, address := range addresses {
		if !slices.ContainsFunc(s.list, func(one *server) bool { return one.url == name && one.address == address }) {
			s.list = append(s.list, &server{url: name, address: address, http: dial.HTTP(s.security, address)})
		}
	}
}

// choose counts a question to a server that is not resting: the one at the address that is preferred, if it is one of ours, else the one that had prompts with this beginning
// before, unless others have less to do; nil: there is none.
func (s *servers) choose(ask *Ask, prefer string, but []*server) *server {
	var begins [beginning]int32
	copy(begins[:], ask.Prompt)
	weight := func(one *server) uint64 { // rendezvous hashing: the highest has the prompt
		return maphash.Comparable(s.seed, struct {
			url, address, salt string
			begins             [beginning]int32
		}{one.url, one.address, string(ask.Salt), begins})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var free []*server
	for _, one := range s.list {
		if !now.Before(one.resting) && !slices.Contains(but, one) {
			free = append(free, one)
		}
	}
	if len(free) == 0 {
		return nil
	}
	if i := slices.IndexFunc(free, func(one *server) bool { return one.address == prefer }); i >= 0 {
		free[i].asked++
		return free[i]
	}
	least := slices.MinFunc(free, func(a, b *server) int { return a.asked - b.asked }).asked
	var best *server
	for _, one := range free {
		if one.asked <= least+affine && (best == nil || weight(one) > weight(best)) {
			best = one
		}
	}
	best.asked++
	return best
}

// leave counts an answer. A server that has failed rests.
func (s *servers) leave(one *server, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.asked--
	var later *laterError
	switch {
	case err == nil:
		one.rest = 0
	case errors.As(err, &later):
		one.resting = s.now().Add(min(later.after, longestRest))
	case errors.Is(err, context.Canceled): // the client has left
	default:
		one.rest = min(max(firstRest, 2*one.rest), longestRest)
		one.resting = s.now().Add(one.rest)
	}
}
