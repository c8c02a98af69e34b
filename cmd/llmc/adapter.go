package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"llmc/compiler"
	"llmc/compiler/hf"
	"llmc/compiler/lora"
	"llmc/engine"
	"llmc/internal/cli"
)

// adapterBuild are the flags by which build writes the plan of an adapter.
type adapterBuild struct{ dir, base string }

func (f *adapterBuild) add(cmd *cobra.Command, options *compiler.Options) {
	flags := cmd.Flags()
	flags.IntVar(&options.LoraRank, "max-lora-rank", 0, "the plan is to be served with adapters beside it, of this rank at most; on CPUs without it too, unless its model is turned (--rotate)")
	flags.StringVar(&f.dir, "adapter", "", "LoRA adapter in PEFT's layout, a directory or org/name[@revision] of the Hub, to write the plan of, which is served beside that of --base; no MODEL is needed")
	flags.StringVar(&f.base, "base", "", "plan of the model that --adapter is for")
}

func (f *adapterBuild) given() bool { return f.dir != "" || f.base != "" }

// args wants a MODEL unless an adapter is built.
func (f *adapterBuild) args(cmd *cobra.Command, args []string) error {
	if f.given() {
		return cobra.MaximumNArgs(1)(cmd, args)
	}
	return cobra.ExactArgs(1)(cmd, args)
}

func (f *adapterBuild) run(cmd *cobra.Command, b *buildFlags) error {
	switch {
	case f.dir == "" || f.base == "":
		return cli.Usagef("--adapter and --base need each other")
	case b.options.Out == "":
		return cli.Usagef("--output: the path of the plan is empty")
	case len(b.model.lora) > 0:
		return cli.Usagef("--lora merges an adapter into the weights of a MODEL, --adapter writes a plan of one: give either")
	}
	progress := cli.NewProgress()
	from, err := b.model.find(cmd.Context(), f.dir, hf.NeedAdapter, progress)
	if err != nil {
		return err
	}
	progress.Wait()
	base, err := engine.Open(f.base)
	if err != nil {
		return err
	}
	defer base.Close()
	report, err := lora.Build(cmd.Context(), lora.Options{Dir: from.Dir, Repo: from.Repo, Commit: from.Commit, Base: base, Out: b.options.Out})
	if err != nil {
		return err
	}
	if b.json {
		return cli.PrintJSON(cmd.OutOrStdout(), report)
	}
	return printAdapter(cmd.OutOrStdout(), report)
}

func printAdapter(w io.Writer, r *lora.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "plan\t%s\n", r.Plan)
	fmt.Fprintf(t, "base\t%s\n", r.Base)
	fmt.Fprintf(t, "size\t%s, %.2f M parameters, rank %d, %d modules\n", cli.FormatBytes(r.PlanBytes), float64(r.Parameters)/1e6, r.Rank, r.Modules)
	fmt.Fprintf(t, "digest\t%s\n", r.Digest)
	return t.Flush()
}
