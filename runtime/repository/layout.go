package repository

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Bounds of a repository.
const (
	maxModels   = 1024
	maxVersions = 1024 // of a model
	maxName     = 256
)

// configFile describes a model, planFile is the plan of a version where the configuration names no other.
const (
	configFile = "config.pbtxt"
	planFile   = "model.plan"
)

// errAbsent is wrapped where a repository has no such model.
var errAbsent = errors.New("the repository has no such model")

// names lists the models of a repository: its directories. Those that begin with a dot are none.
func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		if name := e.Name(); name[0] != '.' && len(name) <= maxName && isDir(filepath.Join(dir, name)) {
			list = append(list, name)
		}
	}
	if len(list) > maxModels {
		return nil, fmt.Errorf("%s: %d models, at most %d", dir, len(list), maxModels)
	}
	return list, nil
}

// isDir follows links, as mounted volumes have them.
func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// source is a model of a repository as it lies there.
type source struct {
	name     string
	config   *Config
	versions []version // that are to be served, the lowest first
}

// version is one plan of it.
type version struct {
	number int
	path   string // "": the model has no plan
	stamp  string // of the plan and the configuration: files that were replaced, written or touched have another
}

// read reads what the repository says of a model. The name is one that names has listed: nothing of a request becomes a path.
func read(dir, name string) (*source, error) {
	list, err := names(dir)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(list, name) {
		return nil, fmt.Errorf("%.200q: %w", name, errAbsent)
	}
	home := filepath.Join(dir, name)
	config, stamp, err := readConfig(filepath.Join(home, configFile), name)
	if err != nil {
		return nil, err
	}
	s := &source{name: name, config: config}
	numbers, err := versionsOf(home)
	if err != nil {
		return nil, err
	}
	if config.node != nil && len(numbers) == 0 { // there is nothing to be in it, and version control keeps no empty directories
		numbers = []int{1}
	}
	if numbers, err = config.choose(numbers); err != nil {
		return nil, fmt.Errorf("%s: %w", home, err)
	}
	for _, n := range numbers {
		if config.node != nil {
			s.versions = append(s.versions, version{number: n, stamp: stamp})
			continue
		}
		path := filepath.Join(home, strconv.Itoa(n), config.file)
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: is no file", path)
		}
		s.versions = append(s.versions, version{n, path, stampOf(info) + stamp})
	}
	return s, nil
}

func stampOf(info fs.FileInfo) string {
	return fmt.Sprintf("%d %d;", info.Size(), info.ModTime().UnixNano())
}

// versionsOf lists the versions of a model, the lowest first: directories that are called by a number above 0.
func versionsOf(home string) ([]int, error) {
	entries, err := os.ReadDir(home)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err == nil && n > 0 && strconv.Itoa(n) == e.Name() && isDir(filepath.Join(home, e.Name())) {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) > maxVersions {
		return nil, fmt.Errorf("%s: %d versions, at most %d", home, len(numbers), maxVersions)
	}
	slices.Sort(numbers)
	return numbers, nil
}
