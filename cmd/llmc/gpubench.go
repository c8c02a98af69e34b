package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"llmc/cmd/llmc/gpubench"
	"llmc/internal/cli"
)

func gpubenchCommand() *cobra.Command {
	var o gpubench.Options
	var show string
	var asJSON bool
	copied := cli.Bytes(1 << 30)
	cmd := &cobra.Command{
		Use:     "gpubench",
		Short:   "Measure an NVIDIA GPU: launches, attention and whole models of made-up weights, beside copy bandwidth and torch",
		Example: "  llmc gpubench --plans \"8b:fp8,int4 1b:bf16\" --out results",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.CopyBytes = int64(copied)
			if err := o.Check(); err != nil {
				return cli.Usagef("%w", err)
			}
			if o.Section != "" {
				return gpubench.Measure(cmd.Context(), &o, cmd.OutOrStdout())
			}
			if err := os.MkdirAll(o.Out, 0o777); err != nil {
				return err
			}
			r, path, err := measured(cmd, &o, show)
			if r == nil || path == "" {
				return err
			}
			if asJSON {
				return cli.PrintJSON(cmd.OutOrStdout(), r)
			}
			err = errors.Join(err, r.Report(cmd.OutOrStdout()))
			fmt.Fprintln(cmd.OutOrStdout(), path)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Plans, "plans", "default", "models in formats, such as \"8b:fp8,int4 1b:bf16\" (also int8), or default, all, none")
	flags.StringVar(&o.Out, "out", ".", "directory for the JSON file, which is named for the device and the day, and for timelines")
	flags.StringVar(&o.Tokenizer, "tokenizer", filepath.Join("testdata", "demo"), "directory of a checkpoint whose tokenizer the models get")
	flags.StringVar(&o.Python, "python", "python3", "Python whose torch is measured beside it, if it has that")
	flags.Var(&copied, "copy", "size of what is copied to measure bandwidth")
	flags.DurationVar(&o.Budget, "budget", 9*time.Minute, "time of the whole run, after which nothing more is measured")
	flags.DurationVar(&o.Limit, "limit", 4*time.Minute, "time after which a section is ended")
	flags.StringVar(&show, "show", "", "print the report of this file instead of measuring")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	flags.StringVar(&o.Section, "section", "", "measure this section in this process, and print its rows")
	flags.StringVar(&o.Scratch, "scratch", "", "directory for what the section builds")
	_ = errors.Join(flags.MarkHidden("section"), flags.MarkHidden("scratch"))
	return cmd
}

// measured reads a file of an earlier run, or measures, with progress on standard error.
func measured(cmd *cobra.Command, o *gpubench.Options, show string) (*gpubench.Result, string, error) {
	if show != "" {
		r, err := gpubench.Read(show)
		return r, show, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	command := []string{self, "gpubench", "--plans", o.Plans, "--out", o.Out, "--tokenizer", o.Tokenizer, "--python", o.Python, "--copy", fmt.Sprint(o.CopyBytes)}
	return gpubench.Run(cmd.Context(), o, command, cmd.ErrOrStderr())
}
