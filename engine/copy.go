package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// CopyFile gives a file the bytes of another one, whole and durable or not at all, as Writer makes files. Where the file system can, the two share their blocks on the
// disk until one is written to: then it takes no time, whatever the size.
func CopyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	file, err := createPlanFile(to, info.Size())
	if err != nil {
		return fmt.Errorf("write %s: %w", to, err)
	}
	if err := file.Take(in, info.Size()); err != nil {
		file.Discard()
		return fmt.Errorf("write %s: %w", to, err)
	}
	if err := file.Commit(to); err != nil {
		file.Discard()
		return fmt.Errorf("write %s: %w", to, err)
	}
	return syncDir(filepath.Dir(to))
}

// LinkFile gives a file another name, in the place of the file that has it, durable or not at all. The file system must be the same.
func LinkFile(from, to string) error {
	partial := fmt.Sprintf("%s.%d.tmp", to, os.Getpid())
	if err := os.Link(from, partial); err != nil {
		return err
	}
	if err := os.Rename(partial, to); err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	return syncDir(filepath.Dir(to))
}

// take fills a new file with size bytes of another: by a clone, by copy_file_range, which os.File.ReadFrom calls where there is one, or by reading and writing.
func take(to, from *os.File, size int64) error {
	if cloneFile(to, from) == nil {
		return nil
	}
	n, err := io.Copy(to, io.LimitReader(from, size))
	if err == nil && n != size {
		err = fmt.Errorf("%s: %d bytes instead of %d: it changed while it was read", from.Name(), n, size)
	}
	if err == nil {
		beginWriting(to, 0, size)
	}
	return err
}
