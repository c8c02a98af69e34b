package server

import "sync"

// inflight counts the requests that are being answered, and closes the door behind the last.
type inflight struct {
	mu       sync.Mutex
	n        int
	draining bool
	empty    chan struct{} // made by drain; closed when nothing is left
}

// enter admits a request unless the server is draining.
func (f *inflight) enter() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.draining {
		return false
	}
	f.n++
	return true
}

func (f *inflight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n--
	if f.draining && f.n == 0 {
		close(f.empty)
	}
}

// drain admits nobody any more and returns a channel that is closed when nothing is left. It may be called again.
func (f *inflight) drain() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.draining {
		f.draining, f.empty = true, make(chan struct{})
		if f.n == 0 {
			close(f.empty)
		}
	}
	return f.empty
}

func (f *inflight) isDraining() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.draining
}
