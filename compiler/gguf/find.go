package gguf

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"llmc/compiler/hf"
)

// suffix ends the names of GGUF files.
const suffix = ".gguf"

// parts is the name of one of several files of a model: NAME-00002-of-00005.gguf.
var parts = regexp.MustCompile(`^(.+)-(\d{5})-of-(\d{5})\.gguf$`)

const maxFiles = 4096

// Is tells whether path is one for Open: a GGUF file, or a directory that holds such and no config.json.
func Is(path string) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return false
	case !info.IsDir():
		return strings.HasSuffix(path, suffix)
	}
	if _, err := os.Stat(filepath.Join(path, hf.ConfigFile)); err == nil {
		return false
	}
	found, _ := filepath.Glob(filepath.Join(escape(path), "*"+suffix))
	return len(found) > 0
}

// escape takes their meaning from the characters of a path that patterns have one for.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// find returns the directory and the names of the files of the model at path, the first part first.
func find(path string) (dir string, names []string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, fmt.Errorf("model: %w", err)
	}
	if !info.IsDir() {
		dir, name := filepath.Split(path)
		names, err := siblings(name)
		return filepath.Clean(dir), names, err
	}
	found, err := filepath.Glob(filepath.Join(escape(path), "*"+suffix))
	if err != nil || len(found) == 0 {
		return "", nil, fmt.Errorf("model directory %s has no %s file", path, suffix)
	}
	first := filepath.Base(found[0])
	names, err = siblings(first)
	if err != nil {
		return "", nil, err
	}
	for _, f := range found {
		if name := filepath.Base(f); !slices.Contains(names, name) {
			return "", nil, &hf.Error{File: name, Err: fmt.Errorf("lies beside %s, and which of them to read is not clear: give the file's path", first)}
		}
	}
	return path, names, nil
}

// siblings returns the names of all parts of the model that name is a part of, name alone where it is whole.
func siblings(name string) ([]string, error) {
	m := parts.FindStringSubmatch(name)
	if m == nil {
		return []string{name}, nil
	}
	number, _ := strconv.Atoi(m[2])
	count, _ := strconv.Atoi(m[3])
	if number < 1 || number > count || count > maxFiles {
		return nil, &hf.Error{File: name, Err: fmt.Errorf("is part %d of %d by its name; there can be %d", number, count, maxFiles)}
	}
	var names []string
	for i := range count {
		names = append(names, fmt.Sprintf("%s-%05d-of-%05d%s", m[1], i+1, count, suffix))
	}
	return names, nil
}
