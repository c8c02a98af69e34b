package gpu

import "testing"

func TestChooseTarget(t *testing.T) {
	all := []string{"x86-64-v3", "sm80", "sm89", "sm90"}
	for _, c := range []struct {
		built      []string
		wanted     string
		capability int
		want       string
	}{
		{all, "", 80, "sm80"}, {all, "", 86, "sm80"}, {all, "", 89, "sm89"}, {all, "", 90, "sm90"},
		{all, "", 100, "sm89"}, // code for sm90 runs on no other
		{all, "sm80", 90, "sm80"},
		{all, "sm90", 100, ""}, {all, "", 75, ""}, {[]string{"x86-64-v3"}, "", 90, ""},
	} {
		got, err := chooseTarget(c.built, c.wanted, c.capability)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("capability %d of %v, wanted %q: %q, %v; want %q", c.capability, c.built, c.wanted, got, err, c.want)
		}
	}
}
