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

// TestBuildsForSeveralGPUs wants a program for each number of GPUs that is asked for, of whose memory inspect tells, and heads that these do not share to be refused.
func TestBuildsForSeveralGPUs(t *testing.T) {
	dir := t.TempDir()
	plan := filepath.Join(dir, "cards.plan")
	build := []string{"build", "../../testdata/demo", "--arch", "sm80", "-o", plan}
	clitest.Run(t, "", append(build, "--tp", "2")...).Done(t)
	clitest.Run(t, "", "verify", plan).Done(t)
	var one, two struct {
		WeightBytes int64 `json:"weight_bytes"`
		KVBytes     int64 `json:"kv_bytes_per_token"`
	}
	clitest.Run(t, "", "inspect", plan, "--memory", "--json").JSON(t, &one)
	clitest.Run(t, "", "inspect", plan, "--memory", "--tp", "2", "--json").JSON(t, &two)
	if two.WeightBytes >= one.WeightBytes*2/3 || 2*two.KVBytes != one.KVBytes {
		t.Errorf("of one GPU %+v, of each of two %+v", one, two)
	}
	var built, refitted struct{ Digest string }
	clitest.Run(t, "", append(build, "--tp", "2", "--json")...).JSON(t, &built)
	clitest.Run(t, "", "refit", plan, "../../testdata/demo", "-o", filepath.Join(dir, "refit.plan"), "--json").JSON(t, &refitted)
	if built.Digest == "" || refitted != built {
		t.Errorf("built %+v, the same weights put into it %+v", built, refitted)
	}
	clitest.Run(t, "", "inspect", plan, "--memory", "--tp", "4").Refused(t, 1, "not built for 4 GPUs together: build it with llmc build --tp 4")
	clitest.Run(t, "", append(build, "--tp", "4")...).Refused(t, 1, "4 cards: cache kv has 2 KV heads, which the cards share evenly")
	clitest.Run(t, "", append(build, "--tp", "17")...).Refused(t, 1, "tp is 17: a model is shared by 2 to 16 GPUs")
	clitest.Run(t, "", append(build, "--pp", "5")...).Refused(t, 1, "target sm80: pp 5: the model can be cut between layers of its cache in 3 places, which is too few: take tp")
}

// TestStagesOfGPUs wants what each GPU of a pipeline has to be told, of a plan that nothing was built for it.
func TestStagesOfGPUs(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "stages.plan")
	build := []string{"build", "../../testdata/demo", "--arch", "sm80", "--tp", "2", "-o", plan, "--json"}
	var without, with struct {
		Digest string
		Ranks  []rankShare
	}
	clitest.Run(t, "", build...).JSON(t, &without)
	clitest.Run(t, "", append(build, "--pp", "2")...).JSON(t, &with)
	if with.Digest == "" || with.Digest != without.Digest || len(with.Ranks) != 4 || with.Ranks[1].SentBytes == 0 || with.Ranks[3].SentBytes != 0 {
		t.Fatalf("%+v, for a pipeline %+v", without, with)
	}
	type memory struct {
		WeightBytes int64 `json:"weight_bytes"`
		KVBytes     int64 `json:"kv_bytes_per_token"`
		Pages       int64 `json:"kv_pages"`
		Layers      int
	}
	var one memory
	var several struct{ Stages []memory }
	clitest.Run(t, "", "inspect", plan, "--memory", "--tp", "2", "--json").JSON(t, &one)
	clitest.Run(t, "", "inspect", plan, "--memory", "--tp", "2", "--pp", "2", "--json").JSON(t, &several)
	if len(several.Stages) != 2 {
		t.Fatalf("%+v", several)
	}
	a, b := several.Stages[0], several.Stages[1]
	if a.KVBytes+b.KVBytes != one.KVBytes || a.Layers+b.Layers != 4 || a.Pages != b.Pages || a.WeightBytes != with.Ranks[0].WeightBytes || b.WeightBytes != with.Ranks[2].WeightBytes {
		t.Errorf("of stages %+v, of one %+v, said by the build %+v", several, one, with.Ranks)
	}
	clitest.Run(t, "", "inspect", plan, "--memory", "--tp", "2", "--pp", "2").Done(t)
}
