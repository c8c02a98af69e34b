package cli

import (
	"errors"
	"testing"

	"github.com/spf13/cobra"
)

func TestExitCodes(t *testing.T) {
	newRoot := func(result error) *cobra.Command {
		root := &cobra.Command{Use: "tool"}
		sub := &cobra.Command{Use: "do FILE", Args: cobra.ExactArgs(1), RunE: func(*cobra.Command, []string) error { return result }}
		sub.Flags().Int("n", 0, "a number")
		must := &cobra.Command{Use: "must", RunE: func(*cobra.Command, []string) error { return nil }}
		must.Flags().Int("m", 0, "a number")
		_ = must.MarkFlagRequired("m")
		root.AddCommand(must)
		root.AddCommand(sub)
		return root
	}
	for _, c := range []struct {
		args   []string
		result error
		want   int
	}{
		{[]string{"do", "x"}, nil, ExitDone},
		{[]string{"do", "x"}, errors.New("file x: broken"), ExitFailed},
		{[]string{"do", "x"}, Usagef("--n and --m exclude each other"), ExitUsage},
		{[]string{"do"}, nil, ExitUsage},
		{[]string{"do", "x", "--n=seven"}, nil, ExitUsage},
		{[]string{"do", "x", "--nope"}, nil, ExitUsage},
		{[]string{"undo"}, nil, ExitUsage},
		{[]string{"must"}, nil, ExitUsage},
		{[]string{"must", "--m", "1"}, nil, ExitDone},
		{[]string{"do", "--help"}, nil, ExitDone},
	} {
		if got := Run(newRoot(c.result), c.args); got != c.want {
			t.Errorf("%v returning %v: exit %d, want %d", c.args, c.result, got, c.want)
		}
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	if got := oneLine(errors.New("shard 2:\n  tensor x: bad\n")); got != "shard 2:; tensor x: bad;" {
		t.Errorf("got %q", got)
	}
}

func TestFlagErrorsNameFlagValueAndCause(t *testing.T) {
	cmd := &cobra.Command{Use: "do"}
	cmd.Flags().Int("n", 0, "")
	cmd.Flags().IntSlice("batch", nil, "")
	cmd.Flags().Uint64("seed", 0, "")
	for arg, want := range map[string]string{
		"--n=x":                       `--n "x": is not a whole number`,
		"--batch=1,x":                 `--batch "1,x": is not a list of whole numbers, separated by commas`,
		"--seed=99999999999999999999": `--seed "99999999999999999999": is not a whole number of at least 0 that fits`,
		"--nope":                      `unknown flag: --nope`,
	} {
		if got := flagError(cmd, cmd.ParseFlags([]string{arg})); got == nil || got.Error() != want {
			t.Errorf("%s: %v, want %s", arg, got, want)
		}
	}
}
