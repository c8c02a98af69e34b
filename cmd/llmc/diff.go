package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"llmc/compiler"
	"llmc/engine"
	"llmc/internal/cli"
)

type diffFlags struct {
	json     bool
	noValues bool
	html     string
	threads  int
}

func diffCommand() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff PLAN PLAN",
		Short: "Show what two plans do not have in common: options, sources, programs, weights layer by layer",
		Long: "Show what two plans do not have in common: options, sources, programs, and layer by layer which weights are not the same bytes, their formats, and how far what they stand for is apart. " +
			"Rows are found by what they were made from: it does not matter how either plan fuses, packs and orders them.",
		Example: "  llmc diff yesterday.plan today.plan\n  llmc diff bf16.plan int4.plan --json\n  llmc diff bf16.plan int4.plan --html diff.html",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.threads < 0 {
				return cli.Usagef("--threads is %d: must be at least 1, or 0 for all processors", f.threads)
			}
			return f.run(cmd, args)
		},
	}
	cli.CompleteArgs(cmd, cli.PlanArg)
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().BoolVar(&f.noValues, "no-values", false, "compare hashes of weights, not the numbers that they stand for")
	cmd.Flags().StringVar(&f.html, "html", "", "write a page to this file")
	cmd.Flags().IntVar(&f.threads, "threads", 0, "threads (default: all processors)")
	return cmd
}

func (f *diffFlags) run(cmd *cobra.Command, args []string) error {
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
	progress := cli.NewProgress()
	c, err := compiler.Diff(cmd.Context(), before, after, compiler.DiffOptions{Values: !f.noValues, Threads: f.threads, Progress: progress})
	if err != nil {
		return err
	}
	progress.Wait()
	switch {
	case f.html != "":
		if err := cli.WriteFile(f.html, func(w io.Writer) error { return c.WriteHTML(w, [2]string{args[0], args[1]}) }); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.ErrOrStderr(), "differences written to %s\n", f.html)
		return err
	case f.json:
		return cli.PrintJSON(cmd.OutOrStdout(), c)
	}
	return c.WriteText(cmd.OutOrStdout())
}
