package main

import (
	"path/filepath"
	"slices"
	"testing"

	"llmc/internal/clitest"
)

// TestCardsGenerate wants emulated cards that share a plan to answer as one, and numbers of them that it was not built for to be refused.
func TestCardsGenerate(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "cards.plan")
	llmc(t, "build", "../../testdata/demo", "--arch", "sm80", "--tp", "2", "-o", plan)
	args := func(tp string, more ...string) []string {
		return append([]string{"generate", plan, "--device", "emu", "--tp", tp, "--tokens", "1,2,3", "--max-tokens", "3", "--ignore-eos", "--json"}, more...)
	}
	var one, two generatedJSON
	clitest.Run(t, "", args("1")...).JSON(t, &one)
	for _, several := range [][]string{args("2"), args("1", "--pp", "2"), args("2", "--pp", "2")} {
		clitest.Run(t, "", several...).JSON(t, &two)
		if len(one.Tokens) != 3 || !slices.Equal(one.Tokens, two.Tokens) {
			t.Errorf("one card answers %v, %v %v", one.Tokens, several, two.Tokens)
		}
	}
	for _, c := range []struct {
		exit int
		args []string
		want string
	}{
		{1, args("4"), "sm80 is built for one GPU alone, 2 together, not for 4; build it with llmc build --arch sm80 --tp 4"},
		{2, args("17"), "at most 16 GPUs share a model"},
		{2, args("2", "--pp", "9"), "--tp 2 and --pp 9 on device emu: at most 16 GPUs share a model"},
		{1, args("1", "--pp", "5"), "pp 5: the model can be cut between layers of its cache in 3 places, which is too few: take tp"},
		{1, []string{"serve", plan, "--device", "emu", "--tp", "2", "--max-loras", "1"}, "adapters beside a model that several GPUs share are not there yet"},
		{1, []string{"generate", plan, "--tp", "2", "--tokens", "1"}, "the plan has no program for a CPU, it has sm80: build it with --arch native; 2 GPUs share it with --device cuda"},
		{1, []string{"serve", plan, plan + "2", "--device", "emu", "--tp", "2"}, "--tp and --pp split one plan"},
	} {
		clitest.Run(t, "", c.args...).Refused(t, c.exit, c.want)
	}
}
