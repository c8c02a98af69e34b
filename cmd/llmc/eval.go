package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"llmc/compiler"
	"llmc/compiler/calib"
	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime"
)

type evalFlags struct {
	model                 modelFlags
	against, text, device string
	threads, windows      int
	json                  bool
}

func evalCommand() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:     "eval PLAN --text FILE",
		Short:   "Measure perplexity, and divergence from the unquantized model",
		Long:    "Measure perplexity, and divergence from the unquantized MODEL." + modelHelp,
		Example: "  llmc eval engine.plan --text eval.txt --against ./model --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.run(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if f.json {
				return cli.PrintJSON(cmd.OutOrStdout(), q)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "perplexity %.4f over %d tokens\n", q.PPL, q.Tokens)
			if err == nil && q.PPLRef != nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "unquantized %.4f (%+.2f %%), divergence %.5f nats, same first choice %.2f %%\n",
					*q.PPLRef, 100*(q.PPL / *q.PPLRef - 1), *q.KL, 100**q.Top1)
			}
			return err
		},
	}
	cli.CompleteArgs(cmd, cli.PlanArg)
	flags := cmd.Flags()
	flags.StringVar(&f.text, "text", "", "text to measure on")
	flags.StringVar(&f.against, "against", "", "checkpoint, a directory or org/name of the Hub: compare with the model as it is, in f32")
	f.model.add(cmd)
	f.model.addLora(cmd)
	flags.StringVar(&f.device, "device", "auto", "where to run: cpu, cuda (an NVIDIA GPU), or auto: a GPU if the plan has a program for it, else the CPU")
	flags.IntVar(&f.windows, "windows", calib.Windows, "windows of the text to score at most")
	flags.IntVar(&f.threads, "threads", 0, "threads (default: all processors)")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	_ = cmd.MarkFlagRequired("text")
	cli.CompleteFlag(cmd, "device", runtime.DeviceNames()...)
	return cmd
}

func (f *evalFlags) settings() engine.Settings {
	return engine.Settings{MaxStepTokens: calib.Window, MaxSequences: 1, MaxRows: 64, MaxContext: calib.Window, Threads: f.threads}
}

func (f *evalFlags) run(ctx context.Context, path string) (*calib.Quality, error) {
	if err := checkRun(f.device, f.threads); err != nil {
		return nil, err
	}
	if f.windows < 1 || f.windows > calib.Windows {
		return nil, cli.Usagef("--windows is %d: must be 1 to %d", f.windows, calib.Windows)
	}
	text, err := cli.ReadFile(f.text, maxText)
	if err != nil {
		return nil, err
	}
	loaded, err := runtime.Load(path, f.device, f.settings())
	if err != nil {
		return nil, err
	}
	defer loaded.Close()
	if loaded.Info.Source != nil {
		return nil, fmt.Errorf("%s encodes its prompts: there is no perplexity of text that it does not go on with", path)
	}
	tok, err := loaded.Tokenizer()
	if err != nil {
		return nil, err
	}
	ids, err := tok.Encode(string(text), false)
	if err != nil {
		return nil, err
	}
	if len(ids) > f.windows*calib.Window {
		ids = ids[:f.windows*calib.Window]
	}
	progress := cli.NewProgress()
	defer progress.Wait()
	var reference engine.Model
	if f.against != "" {
		ref, remove, err := f.reference(ctx, loaded.Plan, progress)
		if err != nil {
			return nil, err
		}
		defer remove()
		reference = ref.Model
		if ref.Info.Vocab != loaded.Info.Vocab {
			return nil, fmt.Errorf("%s has a vocabulary of %d, the plan one of %d", f.against, ref.Info.Vocab, loaded.Info.Vocab)
		}
	}
	task := progress.Start("windows", int64(min(max(1, len(ids)/calib.Window), calib.Windows)))
	defer task.Done()
	return calib.Evaluate(ctx, loaded.Model, reference, loaded.Info.Vocab, ids, func(int, int) { task.Add(1) })
}

// maxText is more than the windows that are scored can hold.
const maxText = 64 << 20

// reference builds an f32 plan of the checkpoint of plan in a temporary directory and loads it.
func (f *evalFlags) reference(ctx context.Context, plan *engine.Plan, progress *cli.Progress) (*runtime.Loaded, func(), error) {
	from, err := f.model.findFor(ctx, plan, f.against, progress)
	if err != nil {
		return nil, nil, err
	}
	adapters, err := f.model.adapters(ctx, progress)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "llmc-eval-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	path := filepath.Join(dir, "reference.plan")
	options := compiler.Options{Model: from.Dir, Lora: adapters, Family: f.model.family, Out: path, Quant: "f32", Threads: f.threads, Progress: progress}
	err = options.SetIgnored(plan)
	if err == nil {
		_, err = compiler.Build(ctx, options)
	}
	if err != nil {
		remove()
		return nil, nil, err
	}
	ref, err := runtime.Load(path, f.device, f.settings())
	if err != nil {
		remove()
		return nil, nil, err
	}
	return ref, func() { _ = ref.Close(); remove() }, nil
}
