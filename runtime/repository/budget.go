package repository

import (
	"errors"
	"fmt"
	"sync"

	"llmc/internal/cli"
)

// errNoRoom is wrapped where a model would not fit beside those that are loaded.
var errNoRoom = errors.New("no room")

// budget is the memory for KV pages that all models of the process share, in bytes. Without a total, each takes what its device gives it.
type budget struct {
	mu    sync.Mutex
	total int64
	used  int64
	share int64 // of a model that asks for nothing
}

// newBudget divides a total among so many places.
func newBudget(total int64, places int) *budget {
	return &budget{total: total, share: total / int64(max(1, places))}
}

// take claims memory, all or nothing. give returns it, and may be called more than once.
func (b *budget) take(wanted int64) (bytes int64, give func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bytes = wanted
	if bytes == 0 {
		bytes = b.share
	}
	if b.total == 0 {
		return bytes, func() {}, nil
	}
	if free := b.total - b.used; bytes > free {
		return 0, nil, fmt.Errorf("%w: its KV cache takes %s, %s of --kv-memory %s are free: unload a model, or start with a higher --kv-memory or --max-models",
			errNoRoom, cli.FormatBytes(bytes), cli.FormatBytes(free), cli.FormatBytes(b.total))
	}
	b.used += bytes
	return bytes, sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.used -= bytes
	}), nil
}
