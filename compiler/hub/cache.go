package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// folder is the repository's directory in the cache.
func (r *repo) folder(parts ...string) string {
	return filepath.Join(append([]string{r.client.Cache, r.folderName()}, parts...)...)
}

func (r *repo) folderName() string { return "models--" + strings.ReplaceAll(r.ref.Repo, "/", "--") }

func (r *repo) blob(etag string) string { return r.folder("blobs", etag) }

func (r *repo) snapshot() string { return r.folder("snapshots", r.commit) }

// pointer is the file of the snapshot that links to a blob.
func (r *repo) pointer(name string) string {
	return filepath.Join(r.snapshot(), filepath.FromSlash(name))
}

// hasSize tells whether there is a regular file of that size; links are followed.
func hasSize(path string, size int64) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// link makes the file of the snapshot, which appears as it is meant to be or not at all.
func (r *repo) link(f *file) error {
	path, blob := r.pointer(f.name), r.blob(f.etag)
	if target, err := filepath.EvalSymlinks(path); err == nil {
		if want, err := filepath.EvalSymlinks(blob); err == nil && target == want {
			return nil
		}
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() == f.size {
		return nil // a copy, as the Python client makes where it was told not to link
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	target, err := filepath.Rel(filepath.Dir(path), blob)
	if err != nil {
		return err
	}
	temporary, err := temporaryName(filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := os.Symlink(target, temporary); err != nil {
		return fmt.Errorf("%w; the cache needs a file system with symbolic links: set HF_HUB_CACHE", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	return nil
}

// temporaryName is a name in dir that nobody has.
func temporaryName(dir string) (string, error) {
	f, err := os.CreateTemp(dir, ".llmc-*.tmp")
	if err != nil {
		return "", err
	}
	name := f.Name()
	return name, errors.Join(f.Close(), os.Remove(name))
}

// writeSmall writes a small file that others read at any time.
func writeSmall(path, text string) error {
	if was, err := os.ReadFile(path); err == nil && string(was) == text {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	temporary, err := temporaryName(filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := os.WriteFile(temporary, []byte(text), 0o666); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	return nil
}

// readSmall reads a file of at most most bytes, nil when there is none.
func readSmall(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, fmt.Errorf("%s: is no file of at most %d bytes", path, most)
	}
	return os.ReadFile(path)
}

// cachedCommit is the commit that the cache has for the revision, "" when it has none.
func (r *repo) cachedCommit() string {
	if r.ref.pinned() {
		return r.ref.Revision
	}
	text, err := readSmall(r.folder("refs", filepath.FromSlash(r.ref.Revision)), 256)
	if commit := strings.TrimSpace(string(text)); err == nil && commitID.MatchString(commit) {
		return commit
	}
	return ""
}

// cachedHint tells of what is in the cache, for messages about a Hub that can not be reached.
func (r *repo) cachedHint() string {
	if commit := r.cachedCommit(); commit != "" && isFile(r.folder("snapshots", commit, "config.json")) {
		return "; or take what is in the cache, commit " + commit + ", with --offline"
	}
	return ""
}
