package server

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// recheck is how often files are looked at for changes.
const recheck = time.Second

// reloaded is a value made from files and made anew when they change, so that keys and certificates are replaced while serving.
type reloaded[T any] struct {
	paths []string
	read  func(contents [][]byte) (T, error)
	every time.Duration

	mu      sync.Mutex
	value   T
	stamp   string // what the files looked like when value was made
	checked time.Time
	failed  func(error) // told once for every change that could not be taken over
}

// readFiles reads the files for the first time. Later failures keep the last good value.
func readFiles[T any](failed func(error), read func(contents [][]byte) (T, error), paths ...string) (*reloaded[T], error) {
	r := &reloaded[T]{paths: paths, read: read, every: recheck, failed: failed}
	r.stamp, r.checked = r.look(), time.Now()
	value, err := r.make()
	r.value = value
	return r, err
}

// get returns the value as of the files' last change.
func (r *reloaded[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.checked) < r.every {
		return r.value
	}
	r.checked = now
	stamp := r.look()
	if stamp == r.stamp {
		return r.value
	}
	r.stamp = stamp
	value, err := r.make()
	if err != nil {
		r.failed(err)
		return r.value
	}
	r.value = value
	return value
}

func (r *reloaded[T]) make() (T, error) {
	contents := make([][]byte, len(r.paths))
	for i, path := range r.paths {
		data, err := os.ReadFile(path)
		if err != nil {
			var zero T
			return zero, err
		}
		contents[i] = data
	}
	value, err := r.read(contents)
	if err != nil {
		return value, fmt.Errorf("%s: %w", strings.Join(r.paths, ", "), err)
	}
	return value, nil
}

// look describes the state of the files: one that was replaced, written, touched or removed changes it.
func (r *reloaded[T]) look() string {
	var b strings.Builder
	for _, path := range r.paths {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(&b, "%v\n", err)
			continue
		}
		fmt.Fprintf(&b, "%d %d\n", info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}
