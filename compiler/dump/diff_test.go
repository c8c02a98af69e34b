package dump

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDiffRebuildsBothTexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "}"}), 0, 20)
		old, changed := text.Draw(t, "old"), text.Draw(t, "new")
		var back, forth []string
		for _, l := range diffIR(old, changed) {
			if l.kind != added {
				back = append(back, l.text)
			}
			if l.kind != removed {
				forth = append(forth, l.text)
			}
		}
		if !slices.Equal(back, old) || !slices.Equal(forth, changed) {
			t.Fatalf("%q and %q came back as %q and %q", old, changed, back, forth)
		}
	})
}

func TestDiffIsBlindToValueNumbers(t *testing.T) {
	old := []string{"%1 = norm %x", "%2 = silu %1", "%3 = mul %2, %up", "ret %3"}
	changed := []string{"%1 = norm %x", "%2 = swiglu %1, %up", "ret %2"}
	var got []string
	for _, l := range diffIR(old, changed) {
		got = append(got, fmt.Sprint(l.kind, " ", l.text))
	}
	want := "0 %1 = norm %x|1 %2 = silu %1|1 %3 = mul %2, %up|2 %2 = swiglu %1, %up|0 ret %2"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

func TestBlocksFoldOnlyWhatIsFarFromChanges(t *testing.T) {
	lines := make([]line, 20)
	lines[10].kind = added
	var sizes []string
	for _, b := range blocks(lines) {
		sizes = append(sizes, fmt.Sprint(b.Quiet, len(b.Lines)))
	}
	if got := fmt.Sprint(sizes); got != "[true 7 false 7 true 6]" {
		t.Errorf("blocks of %s", got)
	}
}
