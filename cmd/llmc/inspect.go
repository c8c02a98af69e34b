package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/engine/partition"
	"llmc/internal/cli"
)

type inspectFlags struct {
	json, ir, kernels, memory bool
	settings                  dump.MemorySettings
	kvMemory, deviceMemory    cli.Bytes
	target                    string
	threads                   int
	html, ptx                 string
	cards                     cardFlags
}

func inspectCommand() *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use:     "inspect PLAN",
		Short:   "Show what a plan holds and what it needs",
		Example: "  llmc inspect engine.plan --kernels --threads 8\n  llmc inspect engine.plan --html report.html\n  llmc inspect engine.plan --card h200 --batch 1,64 --context 4096\n  llmc inspect engine.plan --ptx sm90\n  llmc inspect engine.plan --memory --max-batch 32 --max-context 4096 --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.threads < 1 {
				return cli.Usagef("--threads is %d: must be at least 1", f.threads)
			}
			if err := checkMemory(&f.settings); err != nil {
				return err
			}
			if err := f.cards.check(f.html != ""); err != nil {
				return err
			}
			plan, err := engine.Open(args[0])
			if err != nil {
				return err
			}
			defer plan.Close()
			if f.html != "" {
				return f.writeHTML(cmd.Context(), cmd.ErrOrStderr(), plan)
			}
			return f.print(cmd.Context(), cmd.OutOrStdout(), plan)
		},
	}
	cli.CompleteArgs(cmd, cli.PlanArg)
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.BoolVar(&f.ir, "ir", false, "print the IR as imported and as compiled")
	flags.BoolVar(&f.kernels, "kernels", false, "print every launch with the bytes, operations and time that it takes by the roofline, for steps of 1 and of 512 tokens, and on GPUs its entry and shape")
	flags.StringVar(&f.ptx, "ptx", "", "print the PTX of a target (sm90) or of one entry (linear_1, sm90/linear_1)")
	flags.IntVar(&f.threads, "threads", 2, "cores that times of CPU targets are predicted for, at nominal figures; those of GPUs are for a whole card")
	flags.StringVar(&f.html, "html", "", "write a report of everything to this file")
	flags.BoolVar(&f.memory, "memory", false, "print memory and capacity at the launch settings below")
	flags.IntVar(&f.settings.MaxBatch, "max-batch", 0, "sequences that run together (default 64)")
	flags.IntVar(&f.settings.MaxContext, "max-context", 0, "positions of one sequence (default: the model's)")
	flags.IntVar(&f.settings.StepTokens, "max-step-tokens", 0, "tokens of one step (default 512)")
	flags.IntVar(&f.settings.MaxAdapters, "max-loras", 0, "adapters that are loaded beside the model at once, on a GPU (default: none)")
	flags.IntVar(&f.settings.AdapterRank, "max-lora-rank", 0, "rank of an adapter at most (default: what the plan was built for, or 64)")
	flags.IntVar(&f.settings.Cards, "tp", 1, "GPUs that share each layer, of each of which --memory tells")
	flags.IntVar(&f.settings.Stages, "pp", 1, "groups of GPUs that have some of the layers each, of each of which --memory tells")
	f.cards.add(flags)
	flags.Var(&f.kvMemory, "kv-memory", "memory for the KV cache (default: all sequences at full context, on a GPU as far as they have room)")
	flags.Var(&f.deviceMemory, "device-memory", "free memory of the GPU (default: all that the target's card has)")
	flags.Float64Var(&f.settings.Utilization, "gpu-memory-utilization", 0, "part of a GPU's free memory that may be taken (default: 0.9)")
	flags.StringVar(&f.target, "target", "", "the target that --memory is printed for (default: the plan's first)")
	return cmd
}

// checkMemory refuses settings that no server takes.
func checkMemory(s *dump.MemorySettings) error {
	switch {
	case s.MaxBatch < 0 || s.MaxContext < 0 || s.StepTokens < 0:
		return cli.Usagef("--max-batch, --max-context and --max-step-tokens must not be below 0")
	case s.MaxAdapters < 0 || s.AdapterRank < 0 || s.AdapterRank > engine.MaxAdapterRank:
		return cli.Usagef("--max-loras is %d and --max-lora-rank %d: must not be below 0, nor the rank above %d", s.MaxAdapters, s.AdapterRank, engine.MaxAdapterRank)
	case s.Cards < 1 || s.Cards > engine.MaxCards:
		return cli.Usagef("--tp is %d: must be within 1..%d", s.Cards, engine.MaxCards)
	case s.Stages < 1 || s.Stages > partition.MaxRanks:
		return cli.Usagef("--pp is %d: must be within 1..%d", s.Stages, partition.MaxRanks)
	case !(s.Utilization >= 0 && s.Utilization <= 1):
		return cli.Usagef("--gpu-memory-utilization is %v: must be above 0 and at most 1, or 0 for the default", s.Utilization)
	}
	return nil
}

func (f *inspectFlags) print(ctx context.Context, w io.Writer, plan *engine.Plan) error {
	if f.ir {
		return f.printIR(w, plan)
	}
	if f.ptx != "" {
		return f.printPTX(w, plan)
	}
	if f.memory {
		return f.printMemory(w, plan)
	}
	report, err := dump.NewPlan(plan, f.threads)
	if err != nil {
		return err
	}
	if len(f.cards.cards) > 0 {
		if err := f.cards.predict(ctx, report, plan); err != nil {
			return err
		}
	}
	if f.json {
		return cli.PrintJSON(w, report)
	}
	return report.WriteText(w, f.kernels || len(f.cards.cards) > 0)
}

func (f *inspectFlags) writeHTML(ctx context.Context, w io.Writer, plan *engine.Plan) error {
	report, err := dump.NewPlan(plan, f.threads)
	if err != nil {
		return err
	}
	if err := f.cards.predict(ctx, report, plan); err != nil {
		return err
	}
	if err := cli.WriteFile(f.html, func(w io.Writer) error { return report.WriteHTML(w, plan, defaultMemory(plan)) }); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "report written to %s\n", f.html)
	return err
}

func (f *inspectFlags) printPTX(w io.Writer, plan *engine.Plan) error {
	found, err := dump.FindPTX(plan, f.ptx)
	if err != nil {
		return err
	}
	if f.json {
		return cli.PrintJSON(w, found)
	}
	for _, code := range found {
		if _, err := io.WriteString(w, code.String()); err != nil {
			return err
		}
	}
	return nil
}

// irText is the IR at one stage, in the form of --json.
type irText struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

func (f *inspectFlags) printIR(w io.Writer, plan *engine.Plan) error {
	stages := []irText{}
	for _, name := range plan.Names(engine.KindIR) {
		text, err := plan.Section(engine.KindIR, name)
		if err != nil {
			return err
		}
		stages = append(stages, irText{name, string(text)})
	}
	if f.json {
		return cli.PrintJSON(w, map[string][]irText{"ir": stages})
	}
	for _, s := range stages {
		if _, err := fmt.Fprintf(w, "# %s\n%s\n", s.Name, s.Text); err != nil {
			return err
		}
	}
	return nil
}
