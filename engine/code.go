package engine

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"llmc/internal/sym"
)

// Bounds of a launch of the plan's own code: what any GPU takes.
const (
	maxThreads = 1024
	maxShared  = 256 << 10
	maxGrid    = 1<<31 - 1
)

func (c *Code) wire() *codeWire {
	if c == nil {
		return nil
	}
	w := &codeWire{Entry: c.Entry, Threads: int64(c.Threads), Shared: int64(c.Shared)}
	for _, e := range c.Grid {
		w.Grid = append(w.Grid, e.String())
	}
	return w
}

// String prints extents such as "12", "T" and "4*T+16/64".
func (e Extent) String() string {
	if e.Per == 1 {
		return e.Of.String()
	}
	return fmt.Sprintf("%v/%d", e.Of, e.Per)
}

func parseExtent(text string) (Extent, error) {
	of, per, divided := strings.Cut(text, "/")
	e := Extent{Per: 1}
	var err error
	if divided {
		if e.Per, err = strconv.ParseInt(per, 10, 64); err != nil {
			return e, fmt.Errorf("grid %q: bad divisor", text)
		}
	}
	e.Of, err = sym.Parse(of)
	return e, err
}

func (w *codeWire) code() (*Code, error) {
	if w == nil {
		return nil, nil
	}
	c := &Code{Entry: w.Entry, Threads: int(w.Threads), Shared: int(w.Shared)}
	if len(w.Grid) != len(c.Grid) {
		return nil, fmt.Errorf("a grid of %d dimensions, not %d", len(w.Grid), len(c.Grid))
	}
	for i, text := range w.Grid {
		var err error
		if c.Grid[i], err = parseExtent(text); err != nil {
			return nil, err
		}
	}
	return c, nil
}

var entryName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,255}$`)

// check wants a launch that a GPU could take. What the entry does with its parameters is not the plan reader's to judge.
func (c *Code) check() error {
	if !entryName.MatchString(c.Entry) {
		return fmt.Errorf("entry %q is not an identifier", c.Entry)
	}
	if c.Threads < 1 || c.Threads > maxThreads || c.Shared < 0 || c.Shared > maxShared {
		return fmt.Errorf("entry %s: %d threads and %d bytes of shared memory; at most %d and %d", c.Entry, c.Threads, c.Shared, maxThreads, maxShared)
	}
	for _, e := range c.Grid {
		if err := checkForm(e.Of, maxGrid); err != nil {
			return fmt.Errorf("entry %s: grid: %w", c.Entry, err)
		}
		if e.Per < 1 || e.Per > maxGrid {
			return fmt.Errorf("entry %s: grid divided by %d", c.Entry, e.Per)
		}
	}
	return nil
}
