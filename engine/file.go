package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// planFile is a file on its way to becoming a plan.
type planFile interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Take(from *os.File, size int64) error // fill it, from its beginning, with what another file has
	Begin(offset, size int64)             // tell the system that these bytes are final: it may take them to the disk beside other work
	Path() string                         // under which it can be opened before Commit
	Commit(path string) error             // make it durable, close it, give it its name
	Discard()                             // close and remove it
}

// checkDestination refuses what a rename would not replace by a plan.
func checkDestination(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return errors.New("the destination exists and is not a regular file")
	}
	// Otherwise the error would be about a temporary file that nobody asked for.
	if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no directory %s", filepath.Dir(path))
	}
	return nil
}

// namedFile is a hidden file beside its destination.
type namedFile struct{ *os.File }

func createNamed(path string, size int64) (planFile, error) {
	var file *os.File
	name, err := freeName(path, func(name string) (err error) {
		file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := reserve(file, size); err != nil {
		file.Close()
		os.Remove(name)
		return nil, err
	}
	return &namedFile{file}, nil
}

func (f *namedFile) Begin(offset, size int64) { beginWriting(f.File, offset, size) }

func (f *namedFile) Take(from *os.File, size int64) error { return take(f.File, from, size) }

func (f *namedFile) Path() string { return f.Name() }

func (f *namedFile) Discard() {
	f.Close()
	os.Remove(f.Name())
}

func (f *namedFile) Commit(path string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// freeName calls create with hidden names beside path until one is not taken.
func freeName(path string, create func(name string) error) (string, error) {
	dir, base := filepath.Split(path)
	for i := 0; ; i++ {
		name := filepath.Join(dir, fmt.Sprintf(".%s.%d-%d.partial", base, os.Getpid(), i))
		err := create(name)
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, fs.ErrExist) || i == 100 {
			return "", err
		}
	}
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
