package main

import (
	"github.com/spf13/cobra"

	"llmc/compiler"
	"llmc/compiler/hf"
	"llmc/internal/cli"
)

func refitCommand() *cobra.Command {
	var o compiler.RefitOptions
	var model modelFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "refit PLAN MODEL -o PLAN",
		Short: "Give a plan the weights of another training state of its model, without compiling again",
		Long: "Give a plan the weights of another training state of its model, without compiling again.\n\n" +
			"Programs, formats, tokenizer and chat template stay those of the plan. A checkpoint that asks for another computation is refused." + modelHelp,
		Example: "  llmc refit engine.plan ./model-step-2000 -o engine-2000.plan",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Plan, o.Model, o.Progress = args[0], args[1], cli.NewProgress()
			if o.Out == "" {
				return cli.Usagef("--output: the path of the plan is empty")
			}
			if o.Threads < 0 {
				return cli.Usagef("--threads is %d: must be at least 1, or 0 for all processors", o.Threads)
			}
			from, err := model.find(cmd.Context(), o.Model, hf.NeedModel, o.Progress)
			if err != nil {
				return err
			}
			o.Model, o.Repo, o.Commit, o.Family = from.Dir, from.Repo, from.Commit, model.family
			if o.Lora, err = model.adapters(cmd.Context(), o.Progress); err != nil {
				return err
			}
			report, err := compiler.Refit(cmd.Context(), o)
			if err != nil {
				return err
			}
			o.Progress.Wait()
			if asJSON {
				return cli.PrintJSON(cmd.OutOrStdout(), report)
			}
			return printBuild(cmd.OutOrStdout(), report)
		},
	}
	cli.CompleteArgs(cmd, cli.PlanArg, cli.ModelArg)
	flags := cmd.Flags()
	flags.StringVarP(&o.Out, "output", "o", "", "path of the new plan")
	model.add(cmd)
	model.addLora(cmd)
	flags.IntVar(&o.Threads, "threads", 0, "threads (default: all processors)")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}
