package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime"
)

func logitsCommand() *cobra.Command {
	var device deviceFlags
	var tokens, text string
	var all bool
	cmd := &cobra.Command{
		Use:     "logits PLAN (--tokens 1,2,3 | --text TEXT)",
		Short:   "Print the float32 logits of the last position, or of every position",
		Example: "  llmrun logits engine.plan --tokens 1,2,3 --json\n  llmrun logits engine.plan --text \"Hello\" --all --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("tokens") == cmd.Flags().Changed("text") {
				return cli.Usagef("give either --tokens or --text")
			}
			if tokens == "" && cmd.Flags().Changed("tokens") {
				return cli.Usagef("--tokens: no ids")
			}
			rows, err := logits(args[0], &device, tokens, text, all)
			if err != nil {
				return err
			}
			return cli.PrintJSON(cmd.OutOrStdout(), map[string][][]float32{"logits": rows})
		},
	}
	device.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&tokens, "tokens", "", "token ids, separated by commas")
	flags.StringVar(&text, "text", "", "text, tokenized with special tokens")
	flags.BoolVar(&all, "all", false, "every position instead of the last")
	flags.Bool("json", true, "the result is JSON (always)")
	cli.AddPlanned(cmd, []cli.Planned{
		{Name: "text-pair", Why: "no plan reads pairs of texts"},
		{Name: "prompt-name", Why: "no plan has named prompts"},
		{Name: "image", Why: "no plan reads images"},
		{Name: "decoder-tokens", Why: "no plan has an encoder"},
	})
	return cmd
}

func logits(path string, device *deviceFlags, tokens, text string, all bool) ([][]float32, error) {
	settings, err := device.resolved()
	if err != nil {
		return nil, err
	}
	settings.MaxSequences = 1
	if all {
		settings.MaxStepTokens, settings.MaxRows = 64, 64
	}
	loaded, err := runtime.Load(path, device.device, settings)
	if err != nil {
		return nil, err
	}
	defer loaded.Close()
	ids, err := promptIDs(loaded, tokens, text)
	if err != nil {
		return nil, err
	}
	var rows [][]float32
	want := func(position int) bool { return all || position == len(ids)-1 }
	err = engine.Forward(loaded.Model, loaded.Info.Vocab, ids, want, func(_ int, row []float32) error {
		rows = append(rows, slices.Clone(row))
		return nil
	})
	return rows, err
}

// promptIDs returns the ids that the user gave, or those of a text with special tokens.
func promptIDs(loaded *runtime.Loaded, tokens, text string) ([]int32, error) {
	if tokens != "" {
		return parseIDs(tokens, loaded.Info.Vocab)
	}
	tok, err := loaded.Tokenizer()
	if err != nil {
		return nil, err
	}
	ids, err := tok.Encode(text, true)
	if err == nil && len(ids) == 0 {
		err = errors.New("the text has no tokens")
	}
	return ids, err
}

func parseIDs(list string, vocab int) ([]int32, error) {
	var ids []int32
	for _, field := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		id, err := strconv.ParseInt(field, 10, 32)
		if err != nil {
			return nil, cli.Usagef("--tokens: %q is not a token id", field)
		}
		if id < 0 || id >= int64(vocab) {
			return nil, fmt.Errorf("--tokens: id %d is outside the vocabulary of %d", id, vocab)
		}
		ids = append(ids, int32(id))
	}
	if len(ids) == 0 {
		return nil, cli.Usagef("--tokens: no ids")
	}
	return ids, nil
}
