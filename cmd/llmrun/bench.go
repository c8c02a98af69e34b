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
	"time"

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
	prompts       []int
	json, explain bool
	roofline      bool
	profile       string
}

func benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench PLAN",
		Short: "Measure prefill and decode speed without a server; of encoders texts, pairs or images a second",
		Long: "Measure prefill and decode speed without a server. Of encoder-decoders --prompt is what is encoded of each text and --gen what is decoded beside it; of encoders " +
			"each of --batch inputs has --prompt tokens (images and padded texts as many as the model reads), made up behind the tokenizer and the image processor.",
		Example: "  llmrun bench engine.plan --prompt 512 --gen 128 --batch 1,8,32 --json\n  llmrun bench embedder.plan --prompt 32,256 --batch 1,32\n  llmrun bench --roofline --threads 2",
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
			return f.run(cmd, args[0], cmd.OutOrStdout())
		},
	}
	f.deviceFlags.add(cmd)
	f.draftFlags.add(cmd)
	f.addLimits(cmd)
	flags := cmd.Flags()
	flags.IntSliceVar(&f.prompts, "prompt", []int{512}, "tokens of each prompt, a list (encoders: at most what the model reads)")
	flags.IntVar(&f.config.Gen, "gen", 128, "tokens decoded after it")
	flags.IntSliceVar(&f.config.Batches, "batch", []int{1}, "sequences at a time, a list")
	flags.IntVar(&f.config.Repeat, "repeat", 5, "runs of which the medians are given")
	flags.StringVar(&f.text, "text", "", "file that prompts are cut from, with --draft (default: random tokens)")
	flags.BoolVar(&f.explain, "explain", false, "show where the time goes, kernel by kernel, for the first length and batch size")
	flags.BoolVar(&f.roofline, "roofline", false, "measure no plan but what the processor does at best: reads of memory, multiplications and additions")
	flags.StringVar(&f.profile, "profile", "", "write what each launch takes to this file, a page (.html) or a trace for Perfetto (.json), for the first length and batch size; else a profile of the processor for 'go tool pprof'")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f *benchFlags) run(cmd *cobra.Command, path string, w io.Writer) error {
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
	info, err := planInfo(path)
	if err != nil {
		return err
	}
	kind := benchKind(&info)
	if err := kind.settle(f, cmd, &info, &settings); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	ofDraft, err := f.shareKV(path, f.device, &settings)
	if err != nil {
		return err
	}
	if follows, err := f.meet(cmd.Context(), path, settings.Threads); follows || err != nil {
		return err
	}
	defer f.rankFlags.close()
	loaded, err := f.rankFlags.load(path, f.device, settings)
	if err != nil {
		return err
	}
	defer loaded.Close()
	ctx := cmd.Context()
	if f.draft != "" {
		return f.drafts(ctx, loaded, ofDraft, w)
	}
	if f.explain || f.timeline() != nil {
		return f.launches(ctx, kind, loaded, w)
	}
	begun, before := time.Now(), f.exchanged()
	if err := profiled(f.profile, func() error { return kind.measure(f, ctx, loaded, w) }); err != nil {
		return err
	}
	f.tellExchanges(cmd.ErrOrStderr(), before, time.Since(begun))
	return nil
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
func (f *benchFlags) launches(ctx context.Context, kind *benchedKind, loaded *runtime.Loaded, w io.Writer) error {
	phases, err := kind.profile(ctx, loaded, f.config)
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
	return f.checkConfig()
}

func (f *benchFlags) checkConfig() error {
	c := &f.config
	for _, f := range []struct {
		flag         string
		value, least int
	}{{"prompt", slices.Min(append(f.prompts, math.MaxInt)), 1}, {"gen", c.Gen, 0}, {"repeat", c.Repeat, 1}, {"batch", slices.Min(append(c.Batches, math.MaxInt)), 1}} {
		if f.value < f.least {
			return cli.Usagef("--%s is %d: must be at least %d", f.flag, f.value, f.least)
		}
	}
	if len(c.Batches) == 0 {
		return cli.Usagef("--batch: no batch sizes")
	}
	if len(f.prompts) == 0 {
		return cli.Usagef("--prompt: no lengths")
	}
	if f.draft != "" && len(f.prompts) > 1 {
		return cli.Usagef("--draft takes one length of prompts")
	}
	c.Prompt = f.prompts[0]
	return nil
}
