package dump

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unfold is what the page's script does.
func unfold(t *testing.T, text string) []string {
	t.Helper()
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if rest, marked := strings.CutPrefix(line, repeatMark); marked {
			back, count, _ := strings.Cut(rest, " ")
			b, errBack := strconv.Atoi(back)
			n, errCount := strconv.Atoi(count)
			if errBack != nil || errCount != nil || b < 1 || b > len(lines) {
				t.Fatalf("repetition %q after %d lines", rest, len(lines))
			}
			for range n {
				lines = append(lines, lines[len(lines)-b])
			}
			continue
		}
		lines = append(lines, strings.TrimPrefix(line, plainMark))
	}
	return lines
}

// TestFoldedLinesUnfold folds lines of few kinds, marks among them, and lines that repeat in runs.
func TestFoldedLinesUnfold(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		kinds := 1 + round%5
		var lines []string
		for range random.IntN(60) + 1 {
			line := strings.Repeat([]string{"a", "", repeatMark, plainMark + "x", "\x013 4"}[random.IntN(kinds)], 1+random.IntN(2))
			lines = append(lines, line)
		}
		if got := unfold(t, string(foldLines(lines))); !slices.Equal(got, lines) {
			t.Fatalf("%q became %q", lines, got)
		}
	}
	var kernel []string
	for i := range 100 {
		kernel = append(kernel, fmt.Sprintf("\tadd.s32 %%r%d, %%r%d, 1;", i, i+1))
	}
	if n := len(foldLines(append(kernel, kernel...))) - len(foldLines(kernel)); n > 20 {
		t.Errorf("the same again takes %d bytes", n)
	}
}
