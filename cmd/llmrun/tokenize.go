package main

import (
	"github.com/spf13/cobra"

	"llmc/engine"
	"llmc/internal/cli"
	"llmc/internal/tokenizer"
	"llmc/runtime"
)

// openTokenizer reads the tokenizer of a plan and nothing else of it.
func openTokenizer(path string) (*tokenizer.Tokenizer, error) {
	plan, err := engine.Open(path)
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	return runtime.PlanTokenizer(plan)
}

func tokenizeCommand() *cobra.Command {
	var noSpecial bool
	cmd := &cobra.Command{
		Use:     "tokenize PLAN",
		Short:   "Turn texts into token ids: one JSON string a line on standard input, one id list a line on standard output",
		Example: `  echo '"Hello world"' | llmrun tokenize engine.plan --json`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			tok, err := openTokenizer(args[0])
			if err != nil {
				return err
			}
			return cli.AnswerLines(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), func(line []byte) (any, error) {
				var text string
				if err := cli.DecodeLine(line, &text, "a string"); err != nil {
					return nil, err
				}
				ids, err := tok.Encode(text, !noSpecial)
				if ids == nil {
					ids = []int32{}
				}
				return ids, err
			})
		},
	}
	cli.CompleteArgs(cmd, cli.PlanArg)
	cmd.Flags().BoolVar(&noSpecial, "no-special", false, "do not add special tokens")
	cmd.Flags().Bool("json", true, "answers are JSON (always)")
	return cmd
}

func detokenizeCommand() *cobra.Command {
	var skipSpecial bool
	cmd := &cobra.Command{
		Use:     "detokenize PLAN",
		Short:   "Turn token ids into texts: one JSON id list a line on standard input, one string a line on standard output",
		Example: `  echo '[1, 369, 198]' | llmrun detokenize engine.plan --json`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			tok, err := openTokenizer(args[0])
			if err != nil {
				return err
			}
			return cli.AnswerLines(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), func(line []byte) (any, error) {
				var ids []int32
				if err := cli.DecodeLine(line, &ids, "a list of token ids"); err != nil {
					return nil, err
				}
				return tok.Decode(ids, skipSpecial)
			})
		},
	}
	cli.CompleteArgs(cmd, cli.PlanArg)
	cmd.Flags().BoolVar(&skipSpecial, "skip-special", false, "leave special tokens out")
	cmd.Flags().Bool("json", true, "answers are JSON (always)")
	return cmd
}
