package engine

import (
	"strings"
	"testing"
)

func TestVersionOfPTX(t *testing.T) {
	for _, c := range []struct {
		text string
		want PTXVersion // 0: refused
	}{
		{".version 8.0\n.target sm_90a\n", 80}, {"// a comment\n  .version 12.3\r\n", 123}, {".version 7.8 ", 78},
		{"", 0}, {".version 8\n", 0}, {".version 8.10\n", 0}, {".version 100.1\n", 0}, {"// .version 8.0\n", 0}, {strings.Repeat(" ", ptxHead) + "\n.version 8.0\n", 0},
	} {
		got, err := VersionOfPTX([]byte(c.text))
		if got != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("%.40q: %v, %v; want %v", c.text, got, err, c.want)
		}
	}
}

// TestDriverFor wants an ascending table whose rows answer for themselves and for what lies before them.
func TestDriverFor(t *testing.T) {
	for i, d := range ptxDrivers {
		if i > 0 && (d.PTX <= ptxDrivers[i-1].PTX || d.CUDA <= ptxDrivers[i-1].CUDA || d.Branch <= ptxDrivers[i-1].Branch) {
			t.Errorf("row %d does not ascend", i)
		}
		if got, ok := DriverFor(d.PTX); !ok || got != d {
			t.Errorf("PTX %v: %v, %v", d.PTX, got, ok)
		}
	}
	if got, ok := DriverFor(84); !ok || got.Branch != 550 || got.CUDA.String() != "12.4" || got.PTX.String() != "8.4" {
		t.Errorf("PTX 8.4: %+v, %v", got, ok)
	}
	if _, ok := DriverFor(99); ok {
		t.Error("a driver for PTX 9.9")
	}
}
