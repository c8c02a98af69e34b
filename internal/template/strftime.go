package template

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// strftime formats a time as C's strftime in the C locale, which is what Python's datetime.strftime calls. The time counts
// as local without a zone, so %Z and %z are empty. The flags - _ 0 ^ # and widths of the GNU C library are understood; a
// directive it does not know stays as it is.
func strftime(t time.Time, format string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(format, "%")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n := 0
		for n < len(rest) && strings.IndexByte("-_0^#", rest[n]) >= 0 {
			n++
		}
		digits := n
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		flags, width := rest[:n], rest[n:digits]
		at := digits
		if at < len(rest) && (rest[at] == 'E' || rest[at] == 'O') {
			at++
		}
		if at >= len(rest) {
			b.WriteString("%" + rest)
			return b.String()
		}
		text, ok := timeField(t, rest[at], flags, width)
		if !ok {
			text = "%" + rest[:at+1]
		}
		b.WriteString(text)
		format = rest[at+1:]
	}
}

// timeNumber is a directive that writes a number.
type timeNumber struct {
	width int
	pad   byte
	value func(t time.Time) int
}

var timeNumbers = map[byte]timeNumber{
	'd': {2, '0', time.Time.Day},
	'e': {2, ' ', time.Time.Day},
	'm': {2, '0', func(t time.Time) int { return int(t.Month()) }},
	'y': {2, '0', func(t time.Time) int { return t.Year() % 100 }},
	'C': {2, '0', func(t time.Time) int { return t.Year() / 100 }},
	'Y': {0, '0', time.Time.Year},
	'G': {0, '0', func(t time.Time) int { year, _ := t.ISOWeek(); return year }},
	'g': {2, '0', func(t time.Time) int { year, _ := t.ISOWeek(); return year % 100 }},
	'V': {2, '0', func(t time.Time) int { _, week := t.ISOWeek(); return week }},
	'H': {2, '0', time.Time.Hour},
	'k': {2, ' ', time.Time.Hour},
	'I': {2, '0', hour12},
	'l': {2, ' ', hour12},
	'M': {2, '0', time.Time.Minute},
	'S': {2, '0', time.Time.Second},
	'j': {3, '0', time.Time.YearDay},
	'w': {1, '0', func(t time.Time) int { return int(t.Weekday()) }},
	'u': {1, '0', func(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }},
	'U': {2, '0', func(t time.Time) int { return (t.YearDay() + 6 - int(t.Weekday())) / 7 }},
	'W': {2, '0', func(t time.Time) int { return (t.YearDay() + 6 - (int(t.Weekday())+6)%7) / 7 }},
	's': {1, '0', func(t time.Time) int { return int(t.Unix()) }},
}

// timeTexts are directives that write words.
var timeTexts = map[byte]func(t time.Time) string{
	'a': func(t time.Time) string { return t.Weekday().String()[:3] },
	'A': func(t time.Time) string { return t.Weekday().String() },
	'b': func(t time.Time) string { return t.Month().String()[:3] },
	'h': func(t time.Time) string { return t.Month().String()[:3] },
	'B': func(t time.Time) string { return t.Month().String() },
	'p': func(t time.Time) string { return t.Format("PM") },
	'P': func(t time.Time) string { return t.Format("pm") },
	'f': func(t time.Time) string { return fmt.Sprintf("%06d", t.Nanosecond()/1000) },
	'n': func(time.Time) string { return "\n" },
	't': func(time.Time) string { return "\t" },
	'z': func(time.Time) string { return "" },
	'Z': func(time.Time) string { return "" },
	'%': func(time.Time) string { return "%" },
}

// timeFormats are directives that stand for others.
var timeFormats = map[byte]string{
	'c': "%a %b %e %H:%M:%S %Y",
	'D': "%m/%d/%y",
	'x': "%m/%d/%y",
	'F': "%Y-%m-%d",
	'T': "%H:%M:%S",
	'X': "%H:%M:%S",
	'R': "%H:%M",
	'r': "%I:%M:%S %p",
}

func hour12(t time.Time) int { return (t.Hour()+11)%12 + 1 }

// maxTimeWidth bounds what a directive with a width writes; maxTimeGrowth is how much longer than its format a text can get.
const (
	maxTimeWidth  = 100
	maxTimeGrowth = 25
)

// timeField writes one directive.
func timeField(t time.Time, directive byte, flags, width string) (string, bool) {
	want, _ := strconv.Atoi(width)
	want = min(want, maxTimeWidth)
	pad := byte(' ')
	var text string
	if number, ok := timeNumbers[directive]; ok {
		text = strconv.Itoa(number.value(t))
		pad = number.pad
		if width == "" {
			want = number.width
		}
	} else if word := timeTexts[directive]; word != nil {
		text = word(t)
	} else if format := timeFormats[directive]; format != "" {
		text = strftime(t, format)
	} else {
		return "", false
	}
	for _, flag := range []byte(flags) {
		switch flag {
		case '-':
			pad = ' '
			if width == "" {
				want = 0
			}
		case '_':
			pad = ' '
		case '0':
			pad = '0'
		case '^':
			text = strings.ToUpper(text)
		case '#': // the opposite case: am and pm in small letters, names in capitals
			if directive == 'p' {
				text = strings.ToLower(text)
			} else if strings.IndexByte("aAbBh", directive) >= 0 {
				text = strings.ToUpper(text)
			}
		}
	}
	if len(text) < want {
		text = strings.Repeat(string(pad), want-len(text)) + text
	}
	return text, true
}
