package cli

import "testing"

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "1000": 1000, "4K": 4096, "4KiB": 4096, "2gb": 2 << 30, "1.5M": 3 << 19} {
		var b Bytes
		if err := b.Set(text); err != nil || b != want {
			t.Errorf("%q: %d, %v; want %d", text, b, err, want)
		}
	}
	for _, text := range []string{"", "-1", "x", "1X", "1e300", "nan", "9999999T"} {
		var b Bytes
		if err := b.Set(text); err == nil {
			t.Errorf("%q accepted as %d", text, b)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB"} {
		if got := FormatBytes(n); got != want {
			t.Errorf("FormatBytes(%d) = %q, want %q", n, got, want)
		}
	}
}
