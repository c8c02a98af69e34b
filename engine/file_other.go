//go:build !linux

package engine

import (
	"errors"
	"os"
)

func createPlanFile(path string, size int64) (planFile, error) {
	if err := checkDestination(path); err != nil {
		return nil, err
	}
	return createNamed(path, size)
}

func reserve(file *os.File, size int64) error { return file.Truncate(size) }

func beginWriting(*os.File, int64, int64) {}

func cloneFile(*os.File, *os.File) error { return errors.ErrUnsupported }
