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
		Use:   "eval PLAN --text FILE",
		Short: "Measure perplexity, and divergence from the unquantized model; of encoders how near they are to it",
		Long: "Measure perplexity, and divergence from the unquantized MODEL. Of encoder-decoders each line of the text is a source, a tab and a target, whose tokens are scored. " +
			"Encoders have no perplexity: what they give for each line (of rerankers a question, a tab and an answer) is compared with what MODEL gives." + modelHelp,
		Example: "  llmc eval engine.plan --text eval.txt --against ./model --json\n  llmc eval translator.plan --text pairs.tsv\n  llmc eval embedder.plan --text sentences.txt --against ./model",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.run(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if f.json {
				return cli.PrintJSON(cmd.OutOrStdout(), q)
			}
			return q.print(cmd.OutOrStdout())
		},
	}
	cli.CompleteArgs(cmd, cli.PlanArg)
	flags := cmd.Flags()
	flags.StringVar(&f.text, "text", "", "text to measure on; of encoder-decoders pairs, of encoders lines")
	flags.StringVar(&f.against, "against", "", "checkpoint, a directory or org/name of the Hub: compare with the model as it is, in f32")
	f.model.add(cmd)
	f.model.addLora(cmd)
	flags.StringVar(&f.device, "device", "auto", "where to run: cpu, cuda (an NVIDIA GPU), or auto: a GPU if the plan has a program for it, else the CPU")
	flags.IntVar(&f.windows, "windows", 0, fmt.Sprintf("windows of the text to score at most (default %d), of encoder-decoders pairs, of encoders lines (default %d)", calib.Windows, calib.Pairs))
	flags.IntVar(&f.threads, "threads", 0, "threads (default: all processors)")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	_ = cmd.MarkFlagRequired("text")
	cli.CompleteFlag(cmd, "device", runtime.DeviceNames()...)
	return cmd
}

func (f *evalFlags) run(ctx context.Context, path string) (quality, error) {
	if err := checkRun(f.device, f.threads); err != nil {
		return nil, err
	}
	plan, err := engine.Open(path)
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	info := plan.Info()
	kind := evaluatedKindOf(&info)
	if f.windows < 0 || f.windows > kind.most {
		return nil, cli.Usagef("--windows is %d: must be within 1..%d, or 0 for the default", f.windows, kind.most)
	}
	text, err := cli.ReadFile(f.text, maxText)
	if err != nil {
		return nil, err
	}
	e := &evaluation{text: string(text), most: kind.most, progress: cli.NewProgress()}
	defer e.progress.Wait()
	if f.windows > 0 {
		e.most = f.windows
	}
	settings := kind.settings(&info)
	settings.Threads = f.threads
	if e.plan, err = runtime.Load(path, f.device, settings); err != nil {
		return nil, err
	}
	defer e.plan.Close()
	if f.against != "" {
		ref, remove, err := f.buildReference(ctx, e.plan.Plan, settings, e.progress)
		if err != nil {
			return nil, err
		}
		defer remove()
		if ref.Info.Vocab != info.Vocab {
			return nil, fmt.Errorf("%s has a vocabulary of %d, the plan one of %d", f.against, ref.Info.Vocab, info.Vocab)
		}
		e.reference = ref
	}
	q, err := kind.measure(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return q, nil
}

// maxText is more than the windows that are scored can hold.
const maxText = 64 << 20

// buildReference builds an f32 plan of the checkpoint of plan in a temporary directory and loads it.
func (f *evalFlags) buildReference(ctx context.Context, plan *engine.Plan, settings engine.Settings, progress *cli.Progress) (*runtime.Loaded, func(), error) {
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
	ref, err := runtime.Load(path, f.device, settings)
	if err != nil {
		remove()
		return nil, nil, err
	}
	return ref, func() { _ = ref.Close(); remove() }, nil
}
