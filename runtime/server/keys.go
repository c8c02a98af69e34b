package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"strings"
)

// Keys are the API keys that a server accepts, one a line in a file that is read again when it changes. Lines that begin
// with # and empty lines mean nothing.
type Keys struct {
	sums *reloaded[[][sha256.Size]byte]
}

// LoadKeys reads a file of keys. A file without any is an error: it would lock everybody out.
func LoadKeys(path string, log *slog.Logger) (*Keys, error) {
	failed := func(err error) { log.Error("api keys unchanged: the file can not be used", "err", err) }
	sums, err := readFiles(failed, parseKeys, path)
	if err != nil {
		return nil, err
	}
	return &Keys{sums: sums}, nil
}

func parseKeys(contents [][]byte) ([][sha256.Size]byte, error) {
	var sums [][sha256.Size]byte
	for line := range bytes.Lines(contents[0]) {
		key := bytes.TrimSpace(line)
		if len(key) == 0 || key[0] == '#' {
			continue
		}
		sums = append(sums, sha256.Sum256(key))
	}
	if len(sums) == 0 {
		return nil, errors.New("no api key in the file, give one a line")
	}
	return sums, nil
}

// accept tells whether the Authorization header carries a key. Digests of equal length are compared, all of them, so that
// the time taken says nothing about how much of a key was right.
func (k *Keys) accept(authorization []byte) bool {
	scheme, key, _ := strings.Cut(string(authorization), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(key)))
	found := 0
	for _, known := range k.sums.get() {
		found |= subtle.ConstantTimeCompare(sum[:], known[:])
	}
	return found == 1 && strings.EqualFold(scheme, "Bearer")
}
