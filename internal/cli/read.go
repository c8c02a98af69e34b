package cli

import (
	"fmt"
	"io"
	"os"
)

// ReadFile reads a file, or what a pipe or device gives, of at most so many bytes.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, fmt.Errorf("%s: more than %s, the most that is read", path, FormatBytes(most))
	}
	return data, err
}
