package main

import (
	"path/filepath"
	"testing"

	"llmc/internal/clitest"
)

// TestBuildsTellWhatRanksHave wants shares that are about even and together everything, of a plan that is the same for any number of ranks.
func TestBuildsTellWhatRanksHave(t *testing.T) {
	dir := t.TempDir()
	type report struct {
		Digest string
		Ranks  []rankShare
	}
	var one, two, four report
	args := func(name string, more ...string) []string {
		return append([]string{"build", "../../testdata/demo", "-o", filepath.Join(dir, name), "--json"}, more...)
	}
	clitest.Run(t, "", args("one", "--tp", "1")...).JSON(t, &one)
	clitest.Run(t, "", args("two", "--tp", "2")...).JSON(t, &two)
	clitest.Run(t, "", args("four", "--tp", "2", "--pp", "2")...).JSON(t, &four)
	if one.Digest == "" || two.Digest != one.Digest || four.Digest != one.Digest || one.Ranks != nil || len(two.Ranks) != 2 || len(four.Ranks) != 4 {
		t.Fatalf("%+v, %+v, %+v", one, two, four)
	}
	sum := two.Ranks[0].WeightBytes + two.Ranks[1].WeightBytes
	for _, r := range two.Ranks {
		if share := float64(r.WeightBytes) / float64(sum); share < 0.4 || share > 0.6 || r.SentBytes == 0 {
			t.Errorf("%+v of %d bytes", r, sum)
		}
	}
	all := int64(0)
	for _, r := range four.Ranks {
		if all += r.WeightBytes; r.WeightBytes > sum*2/5 {
			t.Errorf("%+v of %d bytes", r, sum)
		}
	}
	if all < sum*9/10 || all > sum*11/10 {
		t.Errorf("four ranks read %d bytes, two %d", all, sum)
	}
}
