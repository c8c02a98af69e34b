package sign

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"llmc/internal/cli"
)

// FileSuffix is what the name of a plan's signature has more than the plan's.
const FileSuffix = ".sig"

// Check holds a plan in a file to the policy: its bytes to the signature beside it. Another file may have the name afterwards; who checks and then opens trusts the directory.
func (p *Policy) Check(path string) error {
	abs, err := filepath.Abs(path)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return err
	}
	d, err := p.For(FileScheme + abs)
	if err != nil || d.Unsigned() {
		return err
	}
	if info, err := os.Stat(abs); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fmt.Errorf("%w: %s is no file, and %s asks for a signature: make a plan of it", ErrUnsigned, path, p.path))
	}
	return d.CheckFile(path)
}

// CheckFile holds a file to the signature beside it.
func (d *Demand) CheckFile(path string) error {
	have := 1
	data, err := cli.ReadFile(path+FileSuffix, maxKeyBytes)
	if errors.Is(err, fs.ErrNotExist) {
		data, have, err = nil, 0, nil
	}
	if err != nil {
		return err
	}
	var s *FileSignature
	var sum [sha256.Size]byte
	if have > 0 {
		if s, err = ParseFileSignature(data); err != nil {
			return fmt.Errorf("%s: %w", path+FileSuffix, err)
		}
		if sum, err = hashFile(path); err != nil {
			return err
		}
	}
	err = d.Met(have, func(k *PublicKey) bool { return s.By(k, sum) }, fmt.Sprintf("'llmc sign %s --key KEY' makes one", path))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func hashFile(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
