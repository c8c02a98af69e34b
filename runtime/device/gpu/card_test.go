package gpu

import (
	"slices"
	"testing"

	"llmc/engine"
)

func TestSuited(t *testing.T) {
	all := []string{"x86-64-v3", "sm80", "sm89", "sm90"}
	for _, c := range []struct {
		built      []string
		wanted     string
		capability int
		want       []string
	}{
		{all, "", 80, []string{"sm80"}}, {all, "", 86, []string{"sm80"}}, {all, "", 89, []string{"sm89", "sm80"}},
		{all, "", 90, []string{"sm90", "sm89", "sm80"}}, {all, "", 100, []string{"sm89", "sm80"}}, // code for sm90 runs on no other
		{all, "sm80", 90, []string{"sm80"}}, {all, "sm90", 100, nil}, {all, "", 75, nil}, {[]string{"x86-64-v3"}, "", 90, nil},
	} {
		if got := suited(c.built, c.wanted, c.capability); !slices.Equal(got, c.want) {
			t.Errorf("capability %d of %v, wanted %q: %q, want %q", c.capability, c.built, c.wanted, got, c.want)
		}
	}
}

// TestNoProgram wants one line that names the card, what there is, and the command that makes what there is not.
func TestNoProgram(t *testing.T) {
	for _, c := range []struct {
		built      []string
		capability int
		want       string
	}{
		{[]string{"x86-64-v3"}, 80, "the plan has no program for X (compute capability 8.0), it has x86-64-v3: build it with llmc build --arch sm80"},
		{[]string{"sm90"}, 89, "the plan has no program for X (compute capability 8.9), it has sm90, which runs on 9.0 alone: build it with llmc build --arch sm89"},
		{[]string{"sm90"}, 100, "the plan has no program for X (compute capability 10.0), it has sm90, which runs on 9.0 alone: build it with llmc build --arch sm100"},
		{[]string{"sm89", "sm90"}, 86, "the plan has no program for X (compute capability 8.6), it has sm89; sm90, which runs on 9.0 alone: build it with llmc build --arch sm80"},
		{[]string{"sm90"}, 103, "the plan has no program for X (compute capability 10.3), it has sm90, which runs on 9.0 alone: build it with llmc build --arch sm89"},
		{[]string{"sm80"}, 75, "the plan has no program for X (compute capability 7.5): programs need 8.0 or newer"},
	} {
		card := Card{Name: "X", Capability: c.capability, Driver: engine.CUDAVersion(13000)}
		if got := card.noProgram(c.built, "").Error(); got != c.want {
			t.Errorf("%d of %v:\n%s\nwant\n%s", c.capability, c.built, got, c.want)
		}
	}
}
