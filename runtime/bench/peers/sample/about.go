package sample

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// About says how a part of the samples was taken.
type About struct {
	Date     string            `json:"date"`
	Machine  string            `json:"machine"`
	Threads  int               `json:"threads"`
	Command  []string          `json:"command"`  // arguments
	Versions map[string]string `json:"versions"` // of peers
}

// Write writes it to a new file.
func (a *About) Write(path string) error {
	text, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// All is what a directory of samples holds: parts of one comparison, each a file of samples with one that says how they were taken.
type All struct {
	Samples []Sample
	About   []About
}

// ReadAll reads a directory of samples, or one file. Parts come in the order of their names.
func ReadAll(path string) (*All, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*.jsonl")); err != nil {
			return nil, err
		}
		slices.Sort(files)
	}
	all := &All{}
	for _, f := range files {
		if err := all.part(f); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
	}
	return all, nil
}

func (all *All) part(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	samples, err := Read(file)
	if err != nil {
		return err
	}
	all.Samples = append(all.Samples, samples...)
	text, err := os.ReadFile(path[:len(path)-len(filepath.Ext(path))] + ".json")
	if errors.Is(err, os.ErrNotExist) {
		return nil // samples say enough by themselves
	}
	if err != nil {
		return err
	}
	var a About
	if err := json.Unmarshal(text, &a); err != nil {
		return fmt.Errorf("how it was taken: %w", err)
	}
	if len(samples) > 0 {
		all.About = append(all.About, a)
	}
	return nil
}
