package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a flag value such as 512M, 4GiB or 1000000. Units are powers of 1024.
type Bytes int64

var byteUnits = []struct {
	suffix string
	shift  int
}{{"", 0}, {"K", 10}, {"M", 20}, {"G", 30}, {"T", 40}}

// Set parses text.
func (b *Bytes) Set(text string) error {
	number := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(text)), "B"), "I")
	for _, u := range byteUnits[1:] {
		if head, ok := strings.CutSuffix(number, u.suffix); ok {
			return b.set(text, head, u.shift)
		}
	}
	return b.set(text, number, 0)
}

func (b *Bytes) set(text, number string, shift int) error {
	f, err := strconv.ParseFloat(number, 64)
	f *= float64(int64(1) << shift)
	if err != nil || f < 0 || f >= math.MaxInt64 || math.IsNaN(f) {
		return fmt.Errorf("%q is not a size such as 512M or 4G", text)
	}
	*b = Bytes(f)
	return nil
}

// String prints a size with the largest unit that leaves at least one whole. Nothing is a bare 0, which help texts leave out.
func (b *Bytes) String() string {
	if *b == 0 {
		return "0"
	}
	return FormatBytes(int64(*b))
}

// Type names the value in help texts.
func (*Bytes) Type() string { return "SIZE" }

// FormatBytes prints n with a unit, for people.
func FormatBytes(n int64) string {
	for i := len(byteUnits) - 1; i > 0; i-- {
		if u := byteUnits[i]; n >= 1<<u.shift {
			return strconv.FormatFloat(float64(n)/float64(int64(1)<<u.shift), 'f', 1, 64) + " " + u.suffix + "iB"
		}
	}
	return strconv.FormatInt(n, 10) + " B"
}
