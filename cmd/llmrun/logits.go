package main

import (
	"context"
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
	var in givenInput
	var adapter oneAdapter
	var all bool
	cmd := &cobra.Command{
		Use:     "logits PLAN (--tokens 1,2,3 | --text TEXT [--text-pair TEXT] [--prompt-name NAME] | --image FILE)",
		Short:   "Print the float32 logits of the last position, or of every position; of encoders the embedding, the score or the rows of a text or an image",
		Example: "  llmrun logits engine.plan --tokens 1,2,3 --json\n  llmrun logits engine.plan --text \"Hello\" --all --json\n  llmrun logits reranker.plan --text \"a question\" --text-pair \"an answer\" --json\n  llmrun logits clip.plan --image cat.jpg --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := in.check(cmd.Flags().Changed); err != nil {
				return err
			}
			given, err := logits(cmd.Context(), args[0], &device, &adapter, all, &in)
			if err != nil || given == nil { // another rank's
				return err
			}
			return cli.PrintJSON(cmd.OutOrStdout(), given)
		},
	}
	device.add(cmd)
	adapter.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&in.tokens, "tokens", "", "token ids, separated by commas")
	flags.StringVar(&in.text, "text", "", "text, tokenized with special tokens")
	flags.StringVar(&in.decoder, "decoder-tokens", "", "of encoder-decoders: the ids whose logits are printed, separated by commas (default: the one that outputs come behind)")
	flags.BoolVar(&all, "all", false, "every position instead of the last")
	flags.Bool("json", true, "the result is JSON (always)")
	flags.StringVar(&in.pair, "text-pair", "", "the second text of a pair, such as what a reranker compares the first with")
	flags.StringVar(&in.prompt, "prompt-name", "", "name of the prompt of the plan that precedes the text")
	flags.StringVar(&in.image, "image", "", "PNG, JPEG or WebP file; with --text, how well both go together")
	return cmd
}

// logits returns what a plan gives, by its name in the result; nil in a rank that is not the first.
func logits(ctx context.Context, path string, device *deviceFlags, adapter *oneAdapter, all bool, in *givenInput) (map[string]any, error) {
	settings, err := device.resolved()
	if err != nil {
		return nil, err
	}
	settings.MaxSequences = 1
	adapter.limit(&settings)
	info, err := planInfo(path)
	if err != nil {
		return nil, err
	}
	encodes := info.Encoder != nil
	switch {
	case all && info.Source != nil: // texts are encoded at once
		settings.MaxRows = 64
	case all && info.Insert != nil: // images are encoded at once
		settings.MaxRows = 64
	case all && !encodes:
		settings.MaxStepTokens, settings.MaxRows = 64, 64
	}
	if follows, err := device.meet(ctx, path, settings.Threads); follows || err != nil {
		return nil, err
	}
	defer device.close()
	loaded, err := device.load(path, device.device, settings)
	if err != nil {
		return nil, err
	}
	defer loaded.Close()
	if in.decoder != "" && loaded.Info.Source == nil {
		return nil, fmt.Errorf("%s has no decoder beside an encoder; --decoder-tokens is for plans that have", path)
	}
	if encodes {
		return in.encoded(loaded)
	}
	if in.paired || in.prompt != "" {
		return nil, fmt.Errorf("%s generates text; --text-pair and --prompt-name are for encoders", path)
	}
	if in.image != "" && loaded.Info.Insert == nil {
		return nil, fmt.Errorf("%s reads text alone; --image is for plans of models that read images", path)
	}
	if loaded.Info.Insert != nil {
		rows, err := shownLogits(loaded, in, all)
		return map[string]any{"logits": rows}, err
	}
	model, done, err := adapter.with(ctx, loaded)
	if err != nil {
		return nil, err
	}
	rows, err := stepLogits(loaded, model, in, all)
	return map[string]any{"logits": rows}, errors.Join(err, done())
}

// stepLogits returns the logits of the last or of every position.
func stepLogits(loaded *runtime.Loaded, model engine.Model, in *givenInput, all bool) ([][]float32, error) {
	ids, err := promptIDs(loaded, in.tokens, in.text)
	if err != nil {
		return nil, err
	}
	var source []int32
	if s := loaded.Info.Source; s != nil {
		source, ids = ids, s.Start
		if in.decoder != "" {
			if ids, err = parseIDs(in.decoder, loaded.Info.Vocab); err != nil {
				return nil, err
			}
		}
	}
	var rows [][]float32
	want := func(position int) bool { return all || position == len(ids)-1 }
	err = engine.ForwardText(model, loaded.Info.Vocab, source, ids, want, func(_ int, row []float32) error {
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
