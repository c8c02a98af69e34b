package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"llmc/engine"
	"llmc/engine/partition"
	"llmc/internal/cli"
)

// splitFlags ask whether several ranks can share a plan, which is decided when it is served.
type splitFlags struct{ ranks partition.Ranks }

func (f *splitFlags) add(flags *pflag.FlagSet) {
	flags.IntVar(&f.ranks.TP, "tp", 1, "fail unless so many processes can share each layer of the plan when it is served (llmrun serve --tp); plans are the same for any number")
	flags.IntVar(&f.ranks.PP, "pp", 1, "fail unless so many groups of processes can have some of the layers each (llmrun serve --pp)")
}

// rankShare is what a rank has of a plan.
type rankShare struct {
	Rank        int   `json:"rank"`
	WeightBytes int64 `json:"weight_bytes"`
	SentBytes   int64 `json:"sent_bytes_per_token"`
}

// shares tells what each rank has, of the first CPU target of a plan; nil for one rank.
func (f *splitFlags) shares(path string) ([]rankShare, error) {
	switch {
	case f.ranks.TP < 1 || f.ranks.PP < 1:
		return nil, cli.Usagef("--tp is %d and --pp %d: must be at least 1 each", f.ranks.TP, f.ranks.PP)
	case f.ranks.Size() == 1:
		return nil, nil
	}
	plan, err := engine.Open(path)
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	weight := func(name string) *engine.WeightEntry {
		entry, _, err := plan.Weight(name)
		if err != nil {
			return nil
		}
		return entry
	}
	for _, name := range plan.Targets(plan.Main()) {
		if target, err := engine.FindTarget(name); err != nil || target.Device != "cpu" {
			continue
		}
		programs, err := plan.Programs(name)
		if err != nil {
			return nil, err
		}
		for _, program := range programs {
			if program.Func != plan.Main() {
				continue
			}
			split, err := partition.Plan(program, weight, f.ranks)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			cost := split.Cost(program, weight)
			shares := make([]rankShare, f.ranks.Size())
			for r := range shares {
				shares[r] = rankShare{r, cost.Weights[r], cost.Sent[r]}
			}
			return shares, nil
		}
	}
	return nil, fmt.Errorf("%s: has no program for a CPU, and only those are shared by several ranks", path)
}

func printShares(w io.Writer, shares []rankShare) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "rank\tweights\tsent for a token")
	for _, s := range shares {
		fmt.Fprintf(t, "%d\t%.1f MiB\t%.1f KiB\n", s.Rank, float64(s.WeightBytes)/(1<<20), float64(s.SentBytes)/(1<<10))
	}
	return t.Flush()
}
