package cachedir

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"llmc/internal/cli"
)

// Sums are the SHA-256 of files of one directory that have not changed since they were hashed. nil knows none and learns none.
type Sums struct {
	dir, path string

	mu    sync.Mutex
	known map[string]sumOf
	new   bool
}

type sumOf struct {
	Stamp Stamp  `json:"stamp"`
	Sum   string `json:"sha256"`
}

const (
	sumsPart    = "hashes"
	maxSumBytes = 4 << 20 // of a directory's file
	maxSums     = 1024    // directories; half of them go when there are more
)

// Sums opens what is known of a directory; what can not be read is not known.
func (d *Dir) Sums(dir string) *Sums {
	s := &Sums{dir: dir, known: map[string]sumOf{}}
	full, err := filepath.Abs(dir)
	if err != nil {
		return s
	}
	sum := sha256.Sum256([]byte(full))
	s.path = filepath.Join(d.root, sumsPart, hex.EncodeToString(sum[:16])+".json")
	data, err := cli.ReadFile(s.path, maxSumBytes)
	if err != nil || json.Unmarshal(data, &s.known) != nil || s.known == nil {
		s.known = map[string]sumOf{}
	}
	return s
}

// Find returns the hash of a file, if it has not changed since it was learnt.
func (s *Sums) Find(name string) (sum [sha256.Size]byte, bytes int64, known bool) {
	if s == nil {
		return sum, 0, false
	}
	s.mu.Lock()
	was, there := s.known[name]
	s.mu.Unlock()
	if !there {
		return sum, 0, false
	}
	now, err := StampOf(filepath.Join(s.dir, name))
	if err != nil || now != was.Stamp {
		return sum, 0, false
	}
	n, err := hex.Decode(sum[:], []byte(was.Sum))
	return sum, now.Size, err == nil && n == len(sum)
}

// Reading is a file that is about to be hashed.
type Reading struct {
	sums   *Sums
	name   string
	before Stamp
	usable bool
}

// Begin is called before a file is read.
func (s *Sums) Begin(name string) *Reading {
	r := &Reading{sums: s, name: name}
	if s == nil {
		return r
	}
	at := time.Now()
	before, err := StampOf(filepath.Join(s.dir, name))
	r.before, r.usable = before, err == nil && before.Settled(at)
	return r
}

// Learn keeps the hash of what was read, unless the file was changed just before, or since.
func (r *Reading) Learn(sum [sha256.Size]byte) {
	if !r.usable {
		return
	}
	if now, err := StampOf(filepath.Join(r.sums.dir, r.name)); err != nil || now != r.before {
		return
	}
	r.sums.mu.Lock()
	defer r.sums.mu.Unlock()
	r.sums.known[r.name], r.sums.new = sumOf{r.before, hex.EncodeToString(sum[:])}, true
}

// Save writes what was learnt. Of two processes that learn of one directory at the same time the second may forget what the first has learnt.
func (s *Sums) Save() error {
	if s == nil || s.path == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.new {
		return nil
	}
	for name := range s.known {
		if _, err := os.Stat(filepath.Join(s.dir, name)); err != nil {
			delete(s.known, name)
		}
	}
	data, err := json.Marshal(s.known)
	if err == nil && len(data) <= maxSumBytes {
		err = WriteWhole(s.path, data)
	}
	s.new = err != nil
	return cmp.Or(err, thin(filepath.Dir(s.path)))
}

// thin forgets the directories that were not learnt of for longest, where there are many.
func thin(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil || len(files) <= maxSums {
		return err
	}
	at := func(f os.DirEntry) time.Time {
		info, err := f.Info()
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(files, func(a, b os.DirEntry) int { return at(a).Compare(at(b)) })
	for _, f := range files[:len(files)-maxSums/2] {
		_ = os.Remove(filepath.Join(dir, f.Name()))
	}
	return nil
}

// SumOf hashes a file, unless its hash is known.
func (d *Dir) SumOf(path string) ([sha256.Size]byte, error) {
	sums, name := d.Sums(filepath.Dir(path)), filepath.Base(path)
	if sum, _, known := sums.Find(name); known {
		return sum, nil
	}
	reading := sums.Begin(name)
	var sum [sha256.Size]byte
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	h.Sum(sum[:0])
	reading.Learn(sum)
	_ = sums.Save() // or it is hashed again
	return sum, nil
}
