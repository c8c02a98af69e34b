package main

import (
	"github.com/spf13/cobra"

	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/internal/cli"
)

func diffCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "diff PLAN PLAN",
		Short:   "Show what two plans do not have in common: options, sources, programs, weights",
		Example: "  llmc diff yesterday.plan today.plan\n  llmc diff bf16.plan int4.plan --json",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, err := engine.Open(args[0])
			if err != nil {
				return err
			}
			defer before.Close()
			after, err := engine.Open(args[1])
			if err != nil {
				return err
			}
			defer after.Close()
			c, err := dump.Compare(before, after)
			if err != nil {
				return err
			}
			if asJSON {
				return cli.PrintJSON(cmd.OutOrStdout(), c)
			}
			return c.WriteText(cmd.OutOrStdout())
		},
	}
	cli.CompleteArgs(cmd, cli.PlanArg)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
