package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime"
	"llmc/runtime/bench"
)

// benchedKind is how plans of a kind of model are measured.
type benchedKind struct {
	is func(info *engine.ModelInfo) bool
	// settle refuses flags that mean nothing to the kind, and gives what they leave open its value.
	settle  func(f *benchFlags, cmd *cobra.Command, info *engine.ModelInfo, s *engine.Settings) error
	measure func(f *benchFlags, ctx context.Context, loaded *runtime.Loaded, w io.Writer) error
	profile func(ctx context.Context, loaded *runtime.Loaded, c bench.Config) ([]bench.Phase, error)
}

// benchedKinds are asked in turn.
var benchedKinds = []benchedKind{
	{func(info *engine.ModelInfo) bool { return info.Encoder != nil }, (*benchFlags).settleEncoder, (*benchFlags).measureEncoder, bench.ProfileEncoder},
	{func(info *engine.ModelInfo) bool { return info.Source != nil }, (*benchFlags).settleSource, measureRows("encode tok/s", bench.RunSource), bench.ProfileSource},
	{func(*engine.ModelInfo) bool { return true }, (*benchFlags).settleDecoder, measureRows("prefill tok/s", runDecoder), profileDecoder},
}

func benchKind(info *engine.ModelInfo) *benchedKind {
	return &benchedKinds[slices.IndexFunc(benchedKinds, func(k benchedKind) bool { return k.is(info) })]
}

func runDecoder(ctx context.Context, loaded *runtime.Loaded, c bench.Config) ([]bench.Row, error) {
	return bench.Run(ctx, loaded.Model, loaded.Info.Vocab, c)
}

func profileDecoder(ctx context.Context, loaded *runtime.Loaded, c bench.Config) ([]bench.Phase, error) {
	return bench.Profile(ctx, loaded.Model, loaded.Info.Vocab, c)
}

func (f *benchFlags) settleDecoder(_ *cobra.Command, _ *engine.ModelInfo, s *engine.Settings) error {
	if s.MaxContext == 0 {
		s.MaxContext = slices.Max(f.prompts) + f.config.Gen + 1
	}
	return nil
}

// settleSource makes the context hold the longest text, and what is decoded beside it, which has positions of its own.
func (f *benchFlags) settleSource(cmd *cobra.Command, info *engine.ModelInfo, s *engine.Settings) error {
	if f.draft != "" {
		return fmt.Errorf("--draft: plans that encode their prompts are measured without guesses")
	}
	if !cmd.Flags().Changed("prompt") {
		f.shorten(info.MaxContext)
	}
	if s.MaxContext == 0 {
		s.MaxContext = max(slices.Max(f.prompts), f.config.Gen+len(info.Source.Start))
	}
	return nil
}

// shorten makes the length that nobody has asked for one that the model takes.
func (f *benchFlags) shorten(most int) {
	f.prompts[0] = min(f.prompts[0], most)
	f.config.Prompt = f.prompts[0]
}

func (f *benchFlags) settleEncoder(cmd *cobra.Command, info *engine.ModelInfo, _ *engine.Settings) error {
	if f.draft != "" || cmd.Flags().Changed("gen") {
		return fmt.Errorf("--draft and --gen are for plans that generate; this one encodes")
	}
	if !cmd.Flags().Changed("prompt") {
		f.shorten(info.Encoder.MaxTokens)
	}
	return nil
}

// measureRows measures and prints what takes prompts in and then decodes.
func measureRows(taken string, run func(context.Context, *runtime.Loaded, bench.Config) ([]bench.Row, error)) func(*benchFlags, context.Context, *runtime.Loaded, io.Writer) error {
	return func(f *benchFlags, ctx context.Context, loaded *runtime.Loaded, w io.Writer) error {
		var rows []bench.Row
		for _, length := range f.prompts {
			c := f.config
			c.Prompt = length
			of, err := run(ctx, loaded, c)
			if err != nil {
				return err
			}
			rows = append(rows, of...)
		}
		traffic, err := loaded.Traffic()
		if err != nil {
			return err
		}
		bench.Compare(rows, traffic)
		if f.json {
			return cli.PrintJSON(w, rows)
		}
		return printBench(w, taken, rows)
	}
}

func printBench(w io.Writer, taken string, rows []bench.Row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	host := slices.ContainsFunc(rows, func(r bench.Row) bool { return r.IdleMicros > 0 })
	fmt.Fprintf(table, "batch\tprompt\tgen\t%s\tdecode tok/s\tof bandwidth\tpeak memory\t", taken)
	if host {
		fmt.Fprint(table, "host us a step\tdevice idle us\t")
	}
	fmt.Fprintln(table)
	for _, r := range rows {
		share := "-" // not every device tells its bandwidth
		if r.BandwidthFrac > 0 {
			share = fmt.Sprintf("%.0f %%", 100*r.BandwidthFrac)
		}
		fmt.Fprintf(table, "%d\t%d\t%d\t%.0f\t%.1f\t%s\t%s\t", r.Batch, r.Prompt, r.Gen, r.PrefillTS, r.DecodeTS, share, cli.FormatBytes(r.PeakRSS))
		if host {
			fmt.Fprintf(table, "%.1f\t%.1f\t", r.HostMicros, r.IdleMicros)
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

// measureEncoder measures and prints what an encoder makes of texts or images.
func (f *benchFlags) measureEncoder(ctx context.Context, loaded *runtime.Loaded, w io.Writer) error {
	rows, err := bench.RunEncoder(ctx, loaded, f.prompts, f.config)
	if err != nil {
		return err
	}
	if f.json {
		return cli.PrintJSON(w, rows)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "function\tgives\tbatch\ttokens\ta second\ttok/s\tms a batch\tpeak memory\t")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%.1f %s\t%.0f\t%.2f\t%s\t\n", r.Function, r.Gives, r.Batch, r.Prompt, r.InputsPS, r.Inputs, r.TokensTS, r.BatchMS, cli.FormatBytes(r.PeakRSS))
	}
	return table.Flush()
}
