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

// settled is how long files have to stay as they are before they are read again: who writes a file in place, or a certificate and then its key, is not done yet.
const settled = time.Second

// reloadBytes bounds a file: a hundred thousand keys have a tenth of that.
const reloadBytes = 64 << 20

// reloaded is a value made from files and made anew when they change, so that keys and certificates are replaced while serving.
type reloaded[T any] struct {
	paths []string
	read  func(contents [][]byte) (T, error)
	every time.Duration
	rest  time.Duration // settled

	mu      sync.Mutex
	value   T
	stamp   string // what the files looked like when value was made
	checked time.Time
	failed  func(error) // told once for every change that could not be taken over
}

// readFiles reads the files for the first time. Later failures keep the last good value.
func readFiles[T any](failed func(error), read func(contents [][]byte) (T, error), paths ...string) (*reloaded[T], error) {
	r := &reloaded[T]{paths: paths, read: read, every: recheck, rest: settled, failed: failed}
	r.stamp, _ = r.look()
	r.checked = time.Now()
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
	stamp, written := r.look()
	if age := now.Sub(written); stamp == r.stamp || age >= 0 && age < r.rest {
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
		data, err := readSmall(path)
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

// readSmall reads a file of an operator, all of it. A pipe would hold up every request until somebody wrote into it.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is not a regular file, which could be read again when it changes", path)
	case info.Size() > reloadBytes:
		return nil, fmt.Errorf("%s: has %d bytes, at most %d are read", path, info.Size(), reloadBytes)
	}
	return os.ReadFile(path)
}

// look describes the state of the files: one that was replaced, written, touched or removed changes it. It also tells when the last of them was written.
func (r *reloaded[T]) look() (stamp string, written time.Time) {
	var b strings.Builder
	for _, path := range r.paths {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(&b, "%v\n", err)
			continue
		}
		fmt.Fprintf(&b, "%d %d\n", info.Size(), info.ModTime().UnixNano())
		if at := info.ModTime(); at.After(written) {
			written = at
		}
	}
	return b.String(), written
}
