package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"llmc/internal/cli"
	"llmc/runtime"
	"llmc/runtime/bench"
)

type benchFlags struct {
	deviceFlags
	draftFlags
	text          string
	config        bench.Config
	json, explain bool
	roofline      bool
	profile       string
}

func benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:     "bench PLAN",
		Short:   "Measure prefill and decode speed without a server",
		Example: "  llmrun bench engine.plan --prompt 512 --gen 128 --batch 1,8,32 --json\n  llmrun bench --roofline --threads 2",
		Args: func(cmd *cobra.Command, args []string) error {
			if f.roofline {
				return cobra.ExactArgs(0)(cmd, args)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.roofline {
				return f.roof(cmd.OutOrStdout())
			}
			if err := f.draftFlags.check(cmd); err != nil {
				return err
			}
			return f.run(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	}
	f.deviceFlags.add(cmd)
	f.draftFlags.add(cmd)
	f.addLimits(cmd)
	flags := cmd.Flags()
	flags.IntVar(&f.config.Prompt, "prompt", 512, "tokens of each prompt")
	flags.IntVar(&f.config.Gen, "gen", 128, "tokens decoded after it")
	flags.IntSliceVar(&f.config.Batches, "batch", []int{1}, "sequences at a time, a list")
	flags.IntVar(&f.config.Repeat, "repeat", 5, "runs of which the medians are given")
	flags.StringVar(&f.text, "text", "", "file that prompts are cut from, with --draft (default: random tokens)")
	flags.BoolVar(&f.explain, "explain", false, "show where the time goes, kernel by kernel, for the first batch size")
	flags.BoolVar(&f.roofline, "roofline", false, "measure no plan but what the processor does at best: reads of memory, multiplications and additions")
	flags.StringVar(&f.profile, "profile", "", "write what each launch takes to this file, a page (.html) or a trace for Perfetto (.json), for the first batch size; else a profile of the processor for 'go tool pprof'")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f *benchFlags) run(ctx context.Context, path string, w io.Writer) error {
	settings, err := f.resolved()
	if err != nil {
		return err
	}
	if err := f.refuse(); err != nil {
		return err
	}
	f.reserve(&settings)
	for _, b := range f.config.Batches {
		settings.MaxSequences = max(settings.MaxSequences, b)
	}
	if settings.MaxContext == 0 {
		settings.MaxContext = f.config.Prompt + f.config.Gen + 1
	}
	ofDraft, err := f.shareKV(path, f.device, &settings)
	if err != nil {
		return err
	}
	loaded, err := runtime.Load(path, f.device, settings)
	if err != nil {
		return err
	}
	defer loaded.Close()
	if loaded.Info.Source != nil {
		return fmt.Errorf("%s encodes its prompts; bench measures plans that go on with them", path)
	}
	if f.draft != "" {
		return f.drafts(ctx, loaded, ofDraft, w)
	}
	if f.explain || f.timeline() != nil {
		return f.launches(ctx, loaded, w)
	}
	return profiled(f.profile, func() error { return f.measure(ctx, loaded, w) })
}

// timeline returns what writes the file of --profile, if that is for single launches.
func (f *benchFlags) timeline() func(w io.Writer, title string, phases []bench.Phase) error {
	switch strings.ToLower(filepath.Ext(f.profile)) {
	case ".html":
		return func(w io.Writer, title string, phases []bench.Phase) error {
			return bench.WriteTimeline(w, title, f.config.Profiled(), phases)
		}
	case ".json":
		return bench.WriteTrace
	}
	return nil
}

// launches times single launches, for a table, and for a file if one is named.
func (f *benchFlags) launches(ctx context.Context, loaded *runtime.Loaded, w io.Writer) error {
	phases, err := bench.Profile(ctx, loaded.Model, loaded.Info.Vocab, f.config)
	if err != nil {
		return err
	}
	if write := f.timeline(); write != nil {
		settings, _ := loaded.Model.Limits()
		title := fmt.Sprintf("%s, %s", loaded.Info.Name, settings.Target)
		if err := cli.WriteFile(f.profile, func(w io.Writer) error { return write(w, title, phases) }); err != nil {
			return err
		}
	}
	parts := bench.Parts(phases)
	if f.json {
		return cli.PrintJSON(w, parts)
	}
	return bench.WriteParts(w, parts)
}

func (f *benchFlags) measure(ctx context.Context, loaded *runtime.Loaded, w io.Writer) error {
	rows, err := bench.Run(ctx, loaded.Model, loaded.Info.Vocab, f.config)
	if err != nil {
		return err
	}
	traffic, err := loaded.Traffic()
	if err != nil {
		return err
	}
	bench.Compare(rows, traffic)
	if f.json {
		return cli.PrintJSON(w, rows)
	}
	return printBench(w, rows)
}

// profiled runs work with the processor's profile written to path, unless that is empty.
func profiled(path string, work func() error) error {
	if path == "" {
		return work()
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return errors.Join(err, out.Close())
	}
	err = work()
	pprof.StopCPUProfile()
	return errors.Join(err, out.Close())
}

// refuse refuses what no plan could be measured with.
func (f *benchFlags) refuse() error {
	switch {
	case f.text != "" && f.draft == "":
		return cli.Usagef("--text needs --draft: what is computed does not depend on the tokens")
	case f.draft != "" && (f.explain || f.profile != ""):
		return cli.Usagef("--draft measures whole runs: leave --explain and --profile out")
	case f.draft != "" && f.config.Gen < 2:
		return cli.Usagef("--gen is %d: must be at least 2 with --draft", f.config.Gen)
	}
	return checkBench(&f.config)
}

func checkBench(c *bench.Config) error {
	for _, f := range []struct {
		flag         string
		value, least int
	}{{"prompt", c.Prompt, 1}, {"gen", c.Gen, 0}, {"repeat", c.Repeat, 1}, {"batch", slices.Min(append(c.Batches, math.MaxInt)), 1}} {
		if f.value < f.least {
			return cli.Usagef("--%s is %d: must be at least %d", f.flag, f.value, f.least)
		}
	}
	if len(c.Batches) == 0 {
		return cli.Usagef("--batch: no batch sizes")
	}
	return nil
}

func printBench(w io.Writer, rows []bench.Row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	host := slices.ContainsFunc(rows, func(r bench.Row) bool { return r.IdleMicros > 0 })
	fmt.Fprint(table, "batch\tprompt\tgen\tprefill tok/s\tdecode tok/s\tof bandwidth\tpeak memory\t")
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
