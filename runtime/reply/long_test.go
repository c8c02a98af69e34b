package reply

import (
	"runtime"
	"strings"
	"testing"
)

// lengthened calls use with replies that have so many bytes more somewhere.
func lengthened(bytes, places int, use func(template, filler, text string)) {
	for _, c := range replies {
		for _, filler := range []string{"a", " ", "\"", "<"} {
			for at := 1; at < len(c.text); at += 1 + len(c.text)/places {
				begin, end := strings.ToValidUTF8(c.text[:at], ""), strings.ToValidUTF8(c.text[at:], "")
				use(c.template, filler, begin+strings.Repeat(filler, bytes/len(filler))+end)
			}
		}
	}
}

// feed reads a reply in pieces.
func feed(template, text string, piece int) {
	p := Detect(template).Parser("", []byte(weatherTools))
	for rest := text; rest != ""; rest = rest[min(piece, len(rest)):] {
		p.Feed(rest[:min(piece, len(rest))])
	}
	p.End()
}

// What a reply costs grows with its length, wherever it is long: a token must not have all before it copied, nor looked through. Allocation tells of copies; with looks
// through the second half would take longer than a test may.
func TestLongRepliesAreLinear(t *testing.T) {
	const long, piece = 1 << 14, 4
	const perByte = 400 // of allocation; copying all for each piece would make it thousands
	lengthened(long, 3, func(template, filler, text string) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		feed(template, text, piece)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > perByte*long {
			t.Errorf("%d times %q: %d bytes of allocation a byte: %.60q of %.60q", long, filler, used/long, text, template)
		}
	})
	lengthened(1<<18, 2, func(template, filler, text string) {
		if filler == " " {
			feed(template, text, 8)
		}
	})
}
