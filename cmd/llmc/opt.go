package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"llmc/codegen/x86"
	"llmc/engine"
	"llmc/internal/cli"
	"llmc/internal/quant"
	"llmc/ir"
	"llmc/passes"
)

// maxIR is the most that a plan keeps of IR text.
const maxIR = 256 << 20

func optCommand() *cobra.Command {
	var pass, format, arch string
	cmd := &cobra.Command{
		Use:     "opt --pass PASS FILE.ir",
		Short:   "Run one pass on IR text and print the result",
		Example: "  llmc opt --pass fuse-swiglu model.ir",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := cli.ReadFile(args[0], maxIR)
			if err != nil {
				return err
			}
			m, err := ir.Parse(string(text))
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			row, err := engine.FindTarget(arch)
			if err != nil {
				return cli.Usagef("--arch: %v", err)
			}
			target, err := x86.NewTarget(row)
			if err != nil {
				return cli.Usagef("--arch: %v", err)
			}
			report, err := passes.RunOne(pass, m, passes.Options{Target: target, Policy: passes.Policy{Linear: format}, Check: true})
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), report)
			_, err = fmt.Fprint(cmd.OutOrStdout(), ir.Print(m))
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&pass, "pass", "", "name of the pass")
	flags.StringVar(&format, "quant", "", "format that the pass quantize gives to weights, 'llmc targets' lists them")
	flags.StringVar(&arch, "arch", "x86-64-v3", "target of the passes that ask one")
	cli.CompleteFlag(cmd, "pass", passes.Names()...)
	cli.CompleteFlag(cmd, "quant", quant.Names()...)
	cli.CompleteFlag(cmd, "arch", targetNames()...)
	_ = cmd.MarkFlagRequired("pass")
	return cmd
}
