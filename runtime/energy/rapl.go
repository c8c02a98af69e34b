// Package energy reads what a machine's processors and memory take, from counters of the processor (RAPL) that Linux shows under /sys/class/powercap,
// and shares it among those who had work done. It owns the rule of sharing: what was taken between two readings belongs to who worked in between, by the time
// that the work took.
//
// It must not know what the work was. What other processes of the machine take in that time is in the counters too.
package energy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Root is where Linux shows the counters.
const Root = "/sys/class/powercap"

// ErrNone is of machines that show no counters: virtual ones, mostly.
var ErrNone = errors.New("no energy counters (RAPL) here")

// counter is one of a zone: energy in microjoules, which begins anew behind its range.
type counter struct {
	file  *os.File
	span  uint64 // values that it has
	last  uint64
	total uint64 // microjoules since it was opened
}

// meter adds up the counters of processor packages and of memory beside them.
type meter struct {
	counters []*counter
	text     [32]byte
}

// open opens the counters under a root: zones intel-rapl:P called package-*, and those below them, intel-rapl:P:S, called dram. AMD's processors have
// the same names. Other zones are parts of these, or the same again.
func open(root string) (*meter, error) {
	zones, err := filepath.Glob(filepath.Join(root, "intel-rapl:*"))
	if err != nil {
		return nil, err
	}
	m := &meter{}
	for _, zone := range zones {
		name, err := os.ReadFile(filepath.Join(zone, "name"))
		if err != nil {
			continue
		}
		called, whole := strings.TrimSpace(string(name)), strings.Count(filepath.Base(zone), ":") == 1
		if whole && !strings.HasPrefix(called, "package-") || !whole && called != "dram" {
			continue
		}
		c, err := openCounter(zone, m.text[:])
		if err != nil {
			m.close()
			return nil, fmt.Errorf("energy: %w", err) // of a machine's energy a part is none: mostly only root may read it
		}
		m.counters = append(m.counters, c)
	}
	if len(m.counters) == 0 {
		return nil, ErrNone
	}
	return m, nil
}

func openCounter(zone string, text []byte) (*counter, error) {
	path := filepath.Join(zone, "max_energy_range_uj")
	most, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	span, err := number(most)
	if err != nil || span == 0 {
		return nil, fmt.Errorf("%s: %.30q is no range of a counter", path, most)
	}
	file, err := os.Open(filepath.Join(zone, "energy_uj"))
	if err != nil {
		return nil, err
	}
	c := &counter{file: file, span: span + 1}
	if c.last, err = c.read(text); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return c, nil
}

func (c *counter) read(text []byte) (uint64, error) {
	n, err := c.file.ReadAt(text, 0)
	if n == 0 {
		return 0, err
	}
	return number(text[:n])
}

// number reads decimal digits. It allocates nothing.
func number(text []byte) (n uint64, err error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || len(text) > 19 {
		return 0, strconv.ErrSyntax
	}
	for _, d := range text {
		if d < '0' || d > '9' {
			return 0, strconv.ErrSyntax
		}
		n = n*10 + uint64(d-'0')
	}
	return n, nil
}

// joules returns what has been taken since the meter was opened. A counter that can not be read stands still.
func (m *meter) joules() float64 {
	sum := uint64(0)
	for _, c := range m.counters {
		if now, err := c.read(m.text[:]); err == nil {
			if now >= c.last {
				c.total += now - c.last
			} else if c.last < c.span {
				c.total += c.span - c.last + now
			}
			c.last = now
		}
		sum += c.total
	}
	const micro = 1e-6
	return float64(sum) * micro
}

func (m *meter) close() {
	for _, c := range m.counters {
		_ = c.file.Close()
	}
}
