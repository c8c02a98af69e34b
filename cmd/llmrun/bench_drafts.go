package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime"
	"llmc/runtime/bench"
)

// drafts measures decoding with guesses beside decoding without.
func (f *benchFlags) drafts(ctx context.Context, loaded *runtime.Loaded, settings engine.Settings, w io.Writer) error {
	c := bench.DraftConfig{Config: f.config}
	drafting, draft, err := f.drafting(loaded, f.device, settings)
	if err != nil {
		return err
	}
	if draft != nil {
		defer draft.Close()
	}
	c.Drafting = drafting
	if f.text != "" {
		if c.Text, err = textTokens(loaded, f.text); err != nil {
			return err
		}
	}
	rows, err := bench.RunDrafts(ctx, loaded, c)
	if err != nil {
		return err
	}
	if f.json {
		return cli.PrintJSON(w, rows)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "batch\tprompt\tgen\tdecode tok/s\twithout drafts\tratio\tdrafts\taccepted\t")
	for _, r := range rows {
		fmt.Fprintf(table, "%d\t%d\t%d\t%.1f\t%.1f\t%.2f\t%d\t%d\t\n", r.Batch, r.Prompt, r.Gen, r.DecodeTS, r.PlainTS, r.DecodeTS/r.PlainTS, r.Tokens, r.Accepted)
	}
	return table.Flush()
}

// textTokens returns the tokens of a file's text.
func textTokens(loaded *runtime.Loaded, path string) ([]int32, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	tok, err := loaded.Tokenizer()
	if err != nil {
		return nil, err
	}
	ids, err := tok.Encode(string(text), false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ids, nil
}
