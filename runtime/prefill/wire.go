// Package prefill lets servers compute prompts for each other (disaggregated prefill): one takes prompts in, the other goes on with the keys and values that come
// of them, and its streams never wait for a long prompt. The pages of KV cache that a prompt fills go over HTTP as they are computed; the last
// tokens, which fill no page, are the receiver's own work. Both serve the same plan, whose pages have the same bytes wherever they are computed, so
// the tokens are the same as without it; whatever goes wrong, the receiver computes what is missing.
package prefill

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Path is where a server answers.
const Path = "/kv/prefill"

// Ask is the body of a request, in JSON.
type Ask struct {
	Plan     string  `json:"plan"`                 // digest of the plan that both serve
	Format   string  `json:"format"`               // of pages: see engine.PageMover
	Prompt   []int32 `json:"prompt"`               // all of it
	Known    int     `json:"known"`                // leading pages that are not wanted
	Salt     []byte  `json:"cache_salt,omitempty"` // prompts of other salts share nothing with it
	Priority int     `json:"priority,omitempty"`
}

// sumBytes are in front of the bytes of each page: their CRC-32C, little endian.
const sumBytes = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Source gives pages.
type Source interface {
	Wait(i int) error // until page i is there
	Read(i int, to []byte) error
}

// Writer is the body of an answer: pages from first to before most, each behind its sum. It ends early where the source fails.
type Writer struct {
	source     Source
	next, most int
	frame      []byte // sum and page
	sent       int
}

// NewWriter returns the body for pages of so many bytes.
func NewWriter(source Source, first, most, pageBytes int) *Writer {
	frame := make([]byte, sumBytes+pageBytes)
	return &Writer{source: source, next: first, most: most, frame: frame, sent: len(frame)}
}

// Read implements io.Reader.
func (w *Writer) Read(p []byte) (int, error) {
	if w.sent == len(w.frame) {
		if w.next >= w.most {
			return 0, io.EOF
		}
		if err := w.source.Wait(w.next); err != nil {
			return 0, err
		}
		if err := w.source.Read(w.next, w.frame[sumBytes:]); err != nil {
			return 0, err
		}
		binary.LittleEndian.PutUint32(w.frame, crc32.Checksum(w.frame[sumBytes:], castagnoli))
		w.next, w.sent = w.next+1, 0
	}
	n := copy(p, w.frame[w.sent:])
	w.sent += n
	return n, nil
}

// errSum is a page that has changed on its way.
var errSum = errors.New("a page is not what was sent")

// readPages takes pages from first to before most from the body of an answer, and returns how many have come, whatever the error.
func readPages(body io.Reader, first, most, pageBytes int, take func(i int, page []byte) error) (int, error) {
	frame := make([]byte, sumBytes+pageBytes)
	for i := first; i < most; i++ {
		if _, err := io.ReadFull(body, frame); err != nil {
			return i - first, fmt.Errorf("page %d of %d: %w", i, most, err)
		}
		page := frame[sumBytes:]
		if crc32.Checksum(page, castagnoli) != binary.LittleEndian.Uint32(frame) {
			return i - first, fmt.Errorf("page %d of %d: %w", i, most, errSum)
		}
		if err := take(i, page); err != nil {
			return i - first, err
		}
	}
	return most - first, nil
}
