package emu

import (
	"crypto/sha256"
	"sync"
	"weak"
)

// recentModule is the module that was loaded last, for as long as something else holds it or until memory is reclaimed. A plan is often
// loaded again with other settings, and reading its text and decoding its kernels takes longer than a short run.
type recentModule struct {
	mu     sync.Mutex
	text   [sha256.Size]byte
	module weak.Pointer[Module]
}

var recent recentModule

func (r *recentModule) load(text string) (*Module, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := sha256.Sum256([]byte(text))
	if m := r.module.Value(); m != nil && r.text == sum {
		return m, nil
	}
	m, err := Load(text)
	if err == nil {
		r.text, r.module = sum, weak.Make(m)
	}
	return m, err
}
