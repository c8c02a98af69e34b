package hub

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// partial is a file that comes in pieces, in any order, and that a later process may complete. Its name ends in .incomplete, so that the Python
// client's commands find what was left over; it is not the name that this client itself appends to, because there are holes in it.
type partial struct {
	path  string // of the data; the list of pieces is beside it
	data  *os.File
	marks *os.File
	size  int64
	piece int64
	done  []bool // what was there at the start
}

const (
	partialSuffix = ".incomplete"
	marksSuffix   = ".pieces" + partialSuffix
)

// openPartial opens or begins a partial file. adopt is a beginning that another client left, "" for none.
func openPartial(path string, size, piece int64, adopt string) (*partial, error) {
	p := &partial{path: path, size: size, piece: piece, done: make([]bool, max(1, (size+piece-1)/piece))}
	begun := p.readMarks()
	prefix := int64(0)
	if info, err := os.Lstat(adopt); !begun && adopt != "" && err == nil && info.Mode().IsRegular() && info.Size() <= size && os.Rename(adopt, path) == nil {
		prefix = info.Size()
	}
	var err error
	if p.data, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o666); err != nil {
		return nil, err
	}
	if p.marks, err = os.OpenFile(p.marksPath(), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o666); err != nil {
		return nil, errors.Join(err, p.data.Close())
	}
	if info, err := p.data.Stat(); !begun || err != nil || info.Size() != size {
		err = p.begin(prefix)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	return p, nil
}

func (p *partial) marksPath() string {
	return strings.TrimSuffix(p.path, partialSuffix) + marksSuffix
}

// header tells for which file the marks are.
func (p *partial) header() []byte {
	return fmt.Appendf(nil, "llmc pieces 1 %016x %016x\n", p.size, p.piece)
}

// readMarks learns which pieces are there; it tells whether the marks are for a file cut as this one.
func (p *partial) readMarks() bool {
	header := p.header()
	text, err := readSmall(p.marksPath(), int64(len(header)+len(p.done)))
	if err != nil || len(text) != len(header)+len(p.done) || !bytes.HasPrefix(text, header) {
		return false
	}
	for i, mark := range text[len(header):] {
		p.done[i] = mark == '1'
	}
	return true
}

// begin makes the file one of which the first prefix bytes are there.
func (p *partial) begin(prefix int64) error {
	for i := range p.done {
		_, hi := p.bounds(i)
		p.done[i] = prefix > 0 && hi <= prefix
	}
	marks := append(p.header(), bytes.Repeat([]byte{'0'}, len(p.done))...)
	for i, done := range p.done {
		if done {
			marks[len(marks)-len(p.done)+i] = '1'
		}
	}
	if err := p.marks.Truncate(0); err != nil {
		return err
	}
	if err := p.data.Truncate(prefix); err != nil {
		return err
	}
	if err := p.data.Truncate(p.size); err != nil {
		return err
	}
	_, err := p.marks.WriteAt(marks, 0)
	return err
}

func (p *partial) bounds(i int) (lo, hi int64) {
	lo = int64(i) * p.piece
	return lo, min(p.size, lo+p.piece)
}

// mark notes that a piece is there.
func (p *partial) mark(i int) error {
	_, err := p.marks.WriteAt([]byte{'1'}, int64(len(p.header())+i))
	return err
}

// have is how many bytes were there at the start.
func (p *partial) have() (n int64) {
	for i, done := range p.done {
		if done {
			lo, hi := p.bounds(i)
			n += hi - lo
		}
	}
	return n
}

// finish gives the file its name.
func (p *partial) finish(path string) error {
	if err := p.data.Sync(); err != nil {
		return err
	}
	if err := os.Rename(p.path, path); err != nil {
		return err
	}
	return os.Remove(p.marksPath())
}

// discard removes what came.
func (p *partial) discard() { _, _ = os.Remove(p.marksPath()), os.Remove(p.path) }

func (p *partial) close() error { return errors.Join(p.data.Close(), p.marks.Close()) }

// partialBytes is how much of a file an interrupted download has left on the disk.
func partialBytes(path string) int64 {
	var stat unix.Stat_t
	if unix.Lstat(path, &stat) != nil {
		return 0
	}
	return stat.Blocks * 512
}
