package oci

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// journal is a file beside one that is being fetched, which says how much of each layer is in it: a line "LAYER BYTES" each time. It is not trusted: what it
// says is there is hashed again.
type journal struct {
	mu   sync.Mutex
	file *os.File
	have []int64 // by layer, as found at the start
}

const maxJournalBytes = 64 << 20

// openJournal reads the journal of a manifest; one of another manifest, or one that can not be read, begins anew.
func openJournal(path string, d ocispec.Descriptor, layers []ocispec.Descriptor) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f, have: make([]int64, len(layers))}
	if j.read(d, layers) {
		_, err = f.Seek(0, io.SeekEnd)
	} else {
		clear(j.have)
		err = f.Truncate(0)
		if err == nil {
			_, err = f.WriteAt([]byte(d.Digest.String()+"\n"), 0)
		}
		if err == nil {
			_, err = f.Seek(0, io.SeekEnd)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

func (j *journal) read(d ocispec.Descriptor, layers []ocispec.Descriptor) bool {
	lines := bufio.NewScanner(io.LimitReader(j.file, maxJournalBytes))
	if !lines.Scan() || lines.Text() != d.Digest.String() {
		return false
	}
	for lines.Scan() {
		var layer int
		var bytes int64
		if _, err := fmt.Sscanf(lines.Text(), "%d %d", &layer, &bytes); err != nil || layer < 0 || layer >= len(layers) || bytes < 0 || bytes > layers[layer].Size {
			continue // a line that was cut off; what it said is fetched again
		}
		j.have[layer] = bytes
	}
	return lines.Err() == nil
}

// note records how much of a layer is there.
func (j *journal) note(layer int, bytes int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err := fmt.Fprintf(j.file, "%d %d\n", layer, bytes)
	return err
}
