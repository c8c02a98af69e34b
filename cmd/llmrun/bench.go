package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"llmc/internal/cli"
	"llmc/runtime"
	"llmc/runtime/bench"
)

func benchCommand() *cobra.Command {
	var device deviceFlags
	config := bench.Config{}
	var asJSON, explain bool
	cmd := &cobra.Command{
		Use:     "bench PLAN",
		Short:   "Measure prefill and decode speed without a server",
		Example: "  llmrun bench engine.plan --prompt 512 --gen 128 --batch 1,8,32 --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			settings := device.resolved()
			for _, b := range config.Batches {
				settings.MaxSequences = max(settings.MaxSequences, b)
			}
			if settings.MaxContext == 0 {
				settings.MaxContext = config.Prompt + config.Gen + 1
			}
			loaded, err := runtime.Load(args[0], device.device, settings)
			if err != nil {
				return err
			}
			defer loaded.Close()
			if explain {
				parts, err := bench.Explain(cmd.Context(), loaded.Model, loaded.Info.Vocab, config)
				if err != nil {
					return err
				}
				if asJSON {
					return cli.PrintJSON(cmd.OutOrStdout(), parts)
				}
				return bench.WriteParts(cmd.OutOrStdout(), parts)
			}
			rows, err := bench.Run(cmd.Context(), loaded.Model, loaded.Info.Vocab, config)
			if err != nil {
				return err
			}
			traffic, err := loaded.Traffic()
			if err != nil {
				return err
			}
			bench.Compare(rows, traffic)
			if asJSON {
				return cli.PrintJSON(cmd.OutOrStdout(), rows)
			}
			return printBench(cmd.OutOrStdout(), rows)
		},
	}
	device.add(cmd)
	device.addLimits(cmd)
	flags := cmd.Flags()
	flags.IntVar(&config.Prompt, "prompt", 512, "tokens of each prompt")
	flags.IntVar(&config.Gen, "gen", 128, "tokens decoded after it")
	flags.IntSliceVar(&config.Batches, "batch", []int{1}, "sequences at a time, a list")
	flags.IntVar(&config.Repeat, "repeat", 5, "runs of which the medians are given")
	flags.BoolVar(&explain, "explain", false, "show where the time goes, kernel by kernel, for the first batch size")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printBench(w io.Writer, rows []bench.Row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "batch\tprompt\tgen\tprefill tok/s\tdecode tok/s\tof bandwidth\tpeak memory\t")
	for _, r := range rows {
		fmt.Fprintf(table, "%d\t%d\t%d\t%.0f\t%.1f\t%.0f %%\t%s\t\n", r.Batch, r.Prompt, r.Gen, r.PrefillTS, r.DecodeTS, 100*r.BandwidthFrac, cli.FormatBytes(r.PeakRSS))
	}
	return table.Flush()
}
