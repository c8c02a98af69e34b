package compiler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"llmc/internal/cachedir"
	"llmc/internal/cli"
	"llmc/passes"
)

// journal says how far a calibration that chooses codes in sequence has come, so that a build can go on where another one was broken off. What it tells of lies in files beside it: both models, the state of
// each window at the last stop, moments, codes.
type journal struct {
	Build string // what is built: another one can not go on here
	Done  int    // stops whose products have their codes
	End   int64  // of the file of codes
	Codes map[string][]int64
	Tuned bool // the scales are

	Mixed bool // the budget is spent
	Mix   []passes.Override
}

// journalFile is renamed into place when all that it tells of is written.
const journalFile = "journal.json"

// maxJournal bounds what is read of one, in bytes: some twelve for each row of codes.
const maxJournal = 1 << 30

// openDir makes the directory of the calibration's files, or opens the one that is to keep them.
func (c *calibrated) openDir(ctx context.Context, b *build) (err error) {
	state := b.Calibration.State
	if state == "" || !c.method.InSequence() {
		c.dir, err = os.MkdirTemp(filepath.Dir(b.Out), ".llmc-calib-")
		return err
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	j := &journal{}
	path := filepath.Join(state, journalFile)
	build, err := b.codesKey(ctx)
	if err != nil {
		return err
	}
	data, err := cli.ReadFile(path, maxJournal)
	if errors.Is(err, fs.ErrNotExist) {
		if entries, err := os.ReadDir(state); err != nil || len(entries) > 0 {
			return errors.Join(err, fmt.Errorf("--calib-state: %s is neither empty nor a calibration that was broken off; name another directory", state))
		}
		j.Build = build
	} else {
		if err == nil {
			err = json.Unmarshal(data, j)
		}
		if err != nil {
			return fmt.Errorf("--calib-state: %s: %w; remove the directory to begin anew", path, err)
		}
		if j.Build != build {
			return fmt.Errorf("--calib-state: %s is of another build (checkpoint, options, text or compiler); remove the directory, or name another one", state)
		}
	}
	c.dir, c.journal = state, j
	return c.write()
}

// momentsFile is the name of the file of moments, "" where it has none.
func (c *calibrated) momentsFile() string {
	if c.journal == nil {
		return ""
	}
	return "moments"
}

// write puts the journal in its place.
func (c *calibrated) write() error {
	data, err := json.Marshal(c.journal)
	if err != nil {
		return err
	}
	return cachedir.WriteWhole(filepath.Join(c.dir, journalFile), data)
}

// note writes down that so many stops are done. A stop at which an input of a later one is known already is not noted: what is known of it would be lost.
func (s *sequence) note(done int) error {
	if s.journal == nil || len(s.drifts) > 0 {
		return nil
	}
	s.journal.Done, s.journal.End, s.journal.Codes = done, s.codes.end, s.codes.sources
	return s.write()
}

// resume takes up what the journal tells of and returns how many stops are done.
func (s *sequence) resume() (done int, err error) {
	if s.journal == nil {
		return 0, nil
	}
	done = s.journal.Done
	if done < 0 || done > len(s.stops) || s.journal.End < 0 {
		return 0, fmt.Errorf("--calib-state: %s tells of %d products of %d; remove the directory to begin anew", journalFile, done, len(s.stops))
	}
	for i, t := range s.stops {
		rows := 0
		if i < done {
			rows = s.tokens
		}
		s.moments.Restore(t.input, rows)
	}
	if done > 0 {
		s.codes.end, s.codes.sources = s.journal.End, s.journal.Codes
	}
	return done, nil
}
