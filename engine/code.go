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
	// earlySM is the first compute capability that starts a launch while the one before it ends.
	earlySM    = 90
	maxThreads = 1024
	maxShared  = 256 << 10
	maxGrid    = 1<<31 - 1
)

func codesToWire(codes []Code) []codeWire {
	var out []codeWire
	for _, c := range codes {
		w := codeWire{Entry: c.Entry, Threads: int64(c.Threads), Shared: int64(c.Shared), Limit: c.Limit.String(), Early: c.Early}
		for _, e := range c.Grid {
			w.Grid = append(w.Grid, e.String())
		}
		out = append(out, w)
	}
	return out
}

func codesFromWire(codes []codeWire) ([]Code, error) {
	var out []Code
	for i := range codes {
		c, err := codes[i].code()
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// oneCode wants a list of one entry.
func oneCode(codes []codeWire) (Code, error) {
	list, err := codesFromWire(codes)
	if err != nil || len(list) != 1 {
		return Code{}, fmt.Errorf("%d entries, not one (%v)", len(codes), err)
	}
	return list[0], nil
}

const limitSign = "<="

// String prints limits such as "T<=8"; that of all steps is empty.
func (l Limit) String() string {
	if l.Max == 0 {
		return ""
	}
	return fmt.Sprintf("%v%s%d", l.Of, limitSign, l.Max)
}

func parseLimit(text string) (Limit, error) {
	if text == "" {
		return Limit{}, nil
	}
	of, most, ok := strings.Cut(text, limitSign)
	n, err := strconv.ParseInt(most, 10, 64)
	if !ok || err != nil || n < 1 {
		return Limit{}, fmt.Errorf("limit %q is not of the form T%s8", text, limitSign)
	}
	d, err := sym.Parse(of)
	return Limit{d, n}, err
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

func (w *codeWire) code() (Code, error) {
	c := Code{Entry: w.Entry, Threads: int(w.Threads), Shared: int(w.Shared), Early: w.Early}
	if len(w.Grid) != len(c.Grid) {
		return c, fmt.Errorf("entry %s: a grid of %d dimensions, not %d", w.Entry, len(w.Grid), len(c.Grid))
	}
	var err error
	for i, text := range w.Grid {
		if c.Grid[i], err = parseExtent(text); err != nil {
			return c, fmt.Errorf("entry %s: %w", w.Entry, err)
		}
	}
	if c.Limit, err = parseLimit(w.Limit); err != nil {
		return c, fmt.Errorf("entry %s: %w", w.Entry, err)
	}
	return c, nil
}

var entryName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,255}$`)

// maxCodes bounds the entries of a launch.
const maxCodes = 16

// checkCodes wants an entry for every step: limits of one size that ascend, and a last entry without one.
func checkCodes(codes []Code) error {
	if len(codes) > maxCodes {
		return fmt.Errorf("%d entries, at most %d", len(codes), maxCodes)
	}
	for i := range codes {
		c := &codes[i]
		if err := c.check(); err != nil {
			return err
		}
		last := i == len(codes)-1
		if last != (c.Limit.Max == 0) {
			return fmt.Errorf("entry %s: limit %q; all entries but the last one have a limit", c.Entry, c.Limit)
		}
		if i > 0 && !last && (c.Limit.Of != codes[0].Limit.Of || c.Limit.Max <= codes[i-1].Limit.Max) {
			return fmt.Errorf("entry %s: limit %v behind %v; limits ascend", c.Entry, c.Limit, codes[i-1].Limit)
		}
	}
	return nil
}

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
	if c.Limit.Max == 0 {
		return nil
	}
	if err := checkForm(c.Limit.Of, maxGrid); err != nil || c.Limit.Max < 0 || c.Limit.Max > maxGrid {
		return fmt.Errorf("entry %s: limit %v (%v)", c.Entry, c.Limit, err)
	}
	return nil
}
