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
	var tokens, text, decoder string
	var all bool
	var pair pairFlags
	cmd := &cobra.Command{
		Use:     "logits PLAN (--tokens 1,2,3 | --text TEXT [--text-pair TEXT] [--prompt-name NAME])",
		Short:   "Print the float32 logits of the last position, or of every position; of encoders the embedding, the score or the rows of a text",
		Example: "  llmrun logits engine.plan --tokens 1,2,3 --json\n  llmrun logits engine.plan --text \"Hello\" --all --json\n  llmrun logits reranker.plan --text \"a question\" --text-pair \"an answer\" --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("tokens") == cmd.Flags().Changed("text") {
				return cli.Usagef("give either --tokens or --text")
			}
			if tokens == "" && cmd.Flags().Changed("tokens") {
				return cli.Usagef("--tokens: no ids")
			}
			pair.given = cmd.Flags().Changed("text-pair")
			if tokens != "" && (pair.given || pair.prompt != "") {
				return cli.Usagef("--text-pair and --prompt-name go with --text")
			}
			given, err := logits(args[0], &device, promptFlags{tokens, text, decoder}, all, &pair)
			if err != nil {
				return err
			}
			return cli.PrintJSON(cmd.OutOrStdout(), given)
		},
	}
	device.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&tokens, "tokens", "", "token ids, separated by commas")
	flags.StringVar(&text, "text", "", "text, tokenized with special tokens")
	flags.StringVar(&decoder, "decoder-tokens", "", "of encoder-decoders: the ids whose logits are printed, separated by commas (default: the one that outputs come behind)")
	flags.BoolVar(&all, "all", false, "every position instead of the last")
	flags.Bool("json", true, "the result is JSON (always)")
	flags.StringVar(&pair.text, "text-pair", "", "the second text of a pair, such as what a reranker compares the first with")
	flags.StringVar(&pair.prompt, "prompt-name", "", "name of the prompt of the plan that precedes the text")
	cli.AddPlanned(cmd, []cli.Planned{
		{Name: "image", Why: "no plan reads images"},
	})
	return cmd
}

// promptFlags are what logits are computed of.
type promptFlags struct{ tokens, text, decoder string }

// logits returns what a plan gives, by its name in the result.
func logits(path string, device *deviceFlags, prompt promptFlags, all bool, pair *pairFlags) (map[string]any, error) {
	settings, err := device.resolved()
	if err != nil {
		return nil, err
	}
	settings.MaxSequences = 1
	info, err := planInfo(path)
	if err != nil {
		return nil, err
	}
	encodes := info.Encoder != nil
	switch {
	case all && info.Source != nil: // texts are encoded at once
		settings.MaxRows = 64
	case all && !encodes:
		settings.MaxStepTokens, settings.MaxRows = 64, 64
	}
	loaded, err := runtime.Load(path, device.device, settings)
	if err != nil {
		return nil, err
	}
	defer loaded.Close()
	if prompt.decoder != "" && loaded.Info.Source == nil {
		return nil, fmt.Errorf("%s has no decoder beside an encoder; --decoder-tokens is for plans that have", path)
	}
	if encodes {
		return encoded(loaded, prompt.tokens, prompt.text, pair)
	}
	if pair.given || pair.prompt != "" {
		return nil, fmt.Errorf("%s generates text; --text-pair and --prompt-name are for encoders", path)
	}
	rows, err := stepLogits(loaded, prompt, all)
	return map[string]any{"logits": rows}, err
}

// stepLogits returns the logits of the last or of every position.
func stepLogits(loaded *runtime.Loaded, prompt promptFlags, all bool) ([][]float32, error) {
	ids, err := promptIDs(loaded, prompt.tokens, prompt.text)
	if err != nil {
		return nil, err
	}
	var source []int32
	if s := loaded.Info.Source; s != nil {
		source, ids = ids, s.Start
		if prompt.decoder != "" {
			if ids, err = parseIDs(prompt.decoder, loaded.Info.Vocab); err != nil {
				return nil, err
			}
		}
	}
	var rows [][]float32
	want := func(position int) bool { return all || position == len(ids)-1 }
	err = engine.ForwardText(loaded.Model, loaded.Info.Vocab, source, ids, want, func(_ int, row []float32) error {
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
