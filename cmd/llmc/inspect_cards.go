package main

import (
	"context"

	"github.com/spf13/pflag"

	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/internal/cli"
)

// cardFlags say for which GPUs, and which steps, launches are predicted.
type cardFlags struct {
	cards          []string
	batch, prompts []int
	context        int
	ptxas          string
}

func (f *cardFlags) add(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.cards, "card", nil, "print what every launch is predicted to take on these GPUs (a100, l40s, h100, h200, or all): occupancy, waves, time, share of the bound")
	flags.IntSliceVar(&f.batch, "batch", nil, "sequences of the decoding steps that are predicted (default 1,8,64,256)")
	flags.IntSliceVar(&f.prompts, "tokens", nil, "tokens of the steps of one prompt that are predicted (default 512,2048)")
	flags.IntVar(&f.context, "context", 0, "positions of a sequence in the predicted steps (default 1024 for --batch, for --tokens the prompt alone)")
	flags.StringVar(&f.ptxas, "ptxas", "", "assembler that tells the registers of kernels whose plan holds no cubin (default: what LLMC_PTXAS names; else they are bounded)")
}

// check refuses what no step has, and flags that do nothing without a card.
func (f *cardFlags) check(html bool) error {
	const most = 1 << 20
	if f.context < 0 || f.context > most {
		return cli.Usagef("--context is %d: must be within 1..%d", f.context, most)
	}
	for _, list := range []struct {
		name string
		n    []int
	}{{"batch", f.batch}, {"tokens", f.prompts}} {
		for _, n := range list.n {
			if n < 1 || n > most {
				return cli.Usagef("--%s has %d: must be within 1..%d", list.name, n, most)
			}
		}
	}
	if len(f.cards) == 0 && !html && (len(f.batch)+len(f.prompts) > 0 || f.context > 0 || f.ptxas != "") {
		return cli.Usagef("--batch, --tokens, --context and --ptxas are for predictions: give --card")
	}
	for _, name := range f.cards {
		if _, err := engine.FindCard(name); err != nil && name != "all" {
			return cli.Usagef("--card: %v", err)
		}
	}
	return nil
}

// predict adds the predictions to a report.
func (f *cardFlags) predict(ctx context.Context, report *dump.Plan, plan *engine.Plan) error {
	return report.Predict(ctx, plan, dump.CardSettings{Cards: f.cards, Steps: dump.CardSteps(f.batch, f.prompts, f.context), PTXAS: f.ptxas})
}
