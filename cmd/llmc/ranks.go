package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"llmc/engine"
	"llmc/engine/partition"
	"llmc/internal/cli"
	"llmc/runtime/device/gpu"
)

// splitFlags ask whether several ranks can share a plan, which is decided when it is served.
type splitFlags struct {
	tp []int
	pp int
}

func (f *splitFlags) add(flags *pflag.FlagSet) {
	flags.IntSliceVar(&f.tp, "tp", []int{1}, "numbers of GPUs that may share the plan when it is served (llmrun serve --tp): it gets code for each, beside that for one, as 2,4; "+
		"of programs for processors, which are the same for any number of processes, fail unless so many can share each layer")
	flags.IntVar(&f.pp, "pp", 1, "fail unless so many groups of processes, or of GPUs, can have some of the layers each (llmrun serve --pp); nothing is built for it")
}

// rankShare is what a rank, or a GPU, has of a plan.
type rankShare struct {
	Rank        int   `json:"rank"`
	WeightBytes int64 `json:"weight_bytes"`
	SentBytes   int64 `json:"sent_bytes_per_token"`
}

// cards are the numbers of GPUs that the plan is to have code for.
func (f *splitFlags) cards() (numbers []int, err error) {
	for _, n := range f.tp {
		if n < 1 || f.pp < 1 {
			return nil, cli.Usagef("--tp is %d and --pp %d: must be at least 1 each", n, f.pp)
		}
		if n > 1 {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// shares tells what each rank has, of the first CPU target of a plan and the last number of ranks, or each GPU where there is no such target; nil for one rank.
func (f *splitFlags) shares(path string) (shares []rankShare, err error) {
	if f.pp == 1 && slices.Max(f.tp) == 1 {
		return nil, nil
	}
	plan, err := engine.Open(path)
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	cpu := slices.IndexFunc(plan.Targets(plan.Main()), func(name string) bool {
		target, err := engine.FindTarget(name)
		return err == nil && target.Device == "cpu"
	})
	if shares, err = f.cardShares(plan); err != nil || cpu < 0 {
		return shares, err
	}
	programs, err := plan.Programs(plan.Targets(plan.Main())[cpu])
	if err != nil {
		return nil, err
	}
	for _, tp := range f.tp {
		if shares, err = sharesOf(plan, programs, partition.Ranks{TP: tp, PP: f.pp}); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return shares, nil
}

// cardShares tells what each GPU has of a pipeline, of the last GPU target of a plan and the last number of GPUs that share a layer; nil where there is no such target, or no pipeline.
func (f *splitFlags) cardShares(plan *engine.Plan) (shares []rankShare, err error) {
	if f.pp == 1 {
		return nil, nil
	}
	for _, name := range plan.Targets(plan.Main()) {
		if target, err := engine.FindTarget(name); err != nil || target.Device != "cuda" {
			continue
		}
		for _, tp := range f.tp {
			programs, err := plan.CardsPrograms(name, tp)
			if err != nil {
				return nil, err
			}
			stages, err := gpu.Stages(plan, programs, f.pp)
			if err == nil {
				shares, err = sharesOfStages(plan, stages, tp)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: target %s: %w", plan.Path(), name, err)
			}
		}
	}
	return shares, nil
}

// sharesOfStages tells what each of so many GPUs of some stages has of weights, and hands on.
func sharesOfStages(plan *engine.Plan, stages []*partition.Stage, cards int) (shares []rankShare, err error) {
	for _, s := range stages {
		share := rankShare{}
		if share.WeightBytes, err = gpu.WeightBytes(plan, []*engine.Program{s.Program}); err != nil {
			return nil, err
		}
		for _, i := range s.Gives {
			bytes, err := s.Buffers[i].RowBytes()
			if err != nil {
				return nil, err
			}
			share.SentBytes += bytes
		}
		for range cards {
			share.Rank = len(shares)
			shares = append(shares, share)
		}
	}
	return shares, nil
}

// sharesOf tells what each of some ranks has of the program that a plan is for.
func sharesOf(plan *engine.Plan, programs []*engine.Program, ranks partition.Ranks) ([]rankShare, error) {
	weight := func(name string) *engine.WeightEntry {
		entry, _, err := plan.Weight(name)
		if err != nil {
			return nil
		}
		return entry
	}
	main := slices.IndexFunc(programs, func(p *engine.Program) bool { return p.Func == plan.Main() })
	split, err := partition.Plan(programs[main], weight, ranks)
	if err != nil {
		return nil, err
	}
	cost := split.Cost(programs[main], weight)
	shares := make([]rankShare, ranks.Size())
	for r := range shares {
		shares[r] = rankShare{r, cost.Weights[r], cost.Sent[r]}
	}
	return shares, nil
}

func printShares(w io.Writer, shares []rankShare) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "rank\tweights\tsent for a token")
	for _, s := range shares {
		fmt.Fprintf(t, "%d\t%.1f MiB\t%.1f KiB\n", s.Rank, float64(s.WeightBytes)/(1<<20), float64(s.SentBytes)/(1<<10))
	}
	return t.Flush()
}
