package main

import (
	"github.com/spf13/cobra"

	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime"
)

// draftFlags say how tokens that come next are guessed.
type draftFlags struct {
	draft  string
	tokens int
}

const (
	draftNGram    = "ngram"
	mostDrafts    = 64
	defaultDrafts = 16 // far more than usually pays: how many do is weighed in every step
)

func (f *draftFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.draft, "draft", "", "guess the tokens that come next and verify them together, which changes no token: ngram (what followed the same tokens before) or a smaller plan of the same vocabulary")
	flags.IntVar(&f.tokens, "draft-tokens", defaultDrafts, "guesses for a sequence in a step at most; fewer are made where they do not pay")
	cli.CompleteFlag(cmd, "draft", draftNGram)
}

// check refuses values that no plan could serve.
func (f *draftFlags) check(cmd *cobra.Command) error {
	switch {
	case f.draft == "" && cmd.Flags().Changed("draft"):
		return cli.Usagef("--draft is empty: must be ngram or a plan")
	case f.draft == "" && cmd.Flags().Changed("draft-tokens"):
		return cli.Usagef("--draft-tokens needs --draft")
	case f.tokens < 1 || f.tokens > mostDrafts:
		return cli.Usagef("--draft-tokens is %d: must be within 1..%d", f.tokens, mostDrafts)
	}
	return nil
}

// plan returns the plan that guesses; "": none does.
func (f *draftFlags) plan() string {
	if f.draft == draftNGram {
		return ""
	}
	return f.draft
}

// reserve asks for rows of guesses.
func (f *draftFlags) reserve(s *engine.Settings) {
	if f.draft != "" {
		s.Drafts = f.tokens
	}
}

// shareKV leaves the plan at path its part of the memory for KV pages, and returns the settings with that of the plan that guesses for it.
func (f *draftFlags) shareKV(path, device string, s *engine.Settings) (engine.Settings, error) {
	if f.draft == "" || f.plan() == "" {
		return *s, nil
	}
	own, drafts, err := runtime.ShareKV(s.KVBytes, path, f.plan(), device, *s)
	if err != nil {
		return *s, err
	}
	of := *s
	of.Stages = 1 // all of its layers are on the GPUs of the first stage that is here
	s.KVBytes, of.KVBytes = own, drafts
	return of, nil
}

// drafting returns where guesses for a loaded plan are from, and the plan that was loaded for it, if any.
func (f *draftFlags) drafting(target *runtime.Loaded, device string, settings engine.Settings) (runtime.Drafting, *runtime.Loaded, error) {
	switch {
	case f.draft == "":
		return runtime.Drafting{}, nil, nil
	case f.plan() == "":
		return runtime.Drafting{Tokens: f.tokens}, nil, nil
	}
	loaded, err := target.LoadDraft(f.plan(), device, settings)
	if err != nil {
		return runtime.Drafting{}, nil, err
	}
	return loaded.Drafting(target, f.tokens), loaded, nil
}
