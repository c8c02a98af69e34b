package team

import (
	"sync"

	"llmc/runtime/device/cpu/numa"
)

// shared are the teams that several users take turns on, by their number of workers.
var shared = struct {
	mu    sync.Mutex
	teams map[int]*Team
	users map[int]int
}{teams: map[int]*Team{}, users: map[int]int{}}

// Share returns a team of up to n workers, the same one for all who ask for as many while it is open: workers of two teams would stand in each other's way,
// those that wait in the way of those that work. nodes are New's, of who asks first. Each user calls leave once, instead of Close.
func Share(n int, nodes []numa.Node) (t *Team, leave func()) {
	n = possible(n)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.users[n] == 0 {
		shared.teams[n] = start(n, nodes)
	}
	shared.users[n]++
	t = shared.teams[n]
	return t, sync.OnceFunc(func() {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		if shared.users[n]--; shared.users[n] == 0 {
			delete(shared.teams, n)
			t.Close()
		}
	})
}
