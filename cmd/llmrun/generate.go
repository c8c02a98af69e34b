package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"llmc/engine"
	"llmc/internal/chat"
	"llmc/internal/cli"
	"llmc/internal/tokenizer"
	"llmc/runtime"
	"llmc/runtime/grammar"
	"llmc/runtime/server"
)

type generateFlags struct {
	deviceFlags
	draftFlags
	oneAdapter
	images               imageFlags
	constraint           constraintFlags
	prompt, chat, tokens string
	maxTokens            int
	temperature          float32
	topP                 float32
	topK                 int32
	seed                 uint64
	ignoreEOS, json      bool
}

// generated is the result in the form of --json.
type generated struct {
	Tokens       []int32 `json:"tokens"`
	Text         string  `json:"text"`
	PromptTokens []int32 `json:"prompt_tokens"`
	Finish       string  `json:"finish_reason"`
	Timings      struct {
		Load    float64 `json:"load_s"`
		Prefill float64 `json:"prefill_s"`
		Decode  float64 `json:"decode_s"`
	} `json:"timings"`
	Draft *drafted `json:"draft,omitempty"`
}

// drafted says what became of guesses.
type drafted struct {
	Tokens   int `json:"draft_tokens"`
	Accepted int `json:"accepted_tokens"`
}

func generateCommand() *cobra.Command {
	var f generateFlags
	cmd := &cobra.Command{
		Use:     "generate PLAN (--prompt TEXT | --chat TEXT | --tokens 1,2,3) [--image FILE]...",
		Short:   "Continue one prompt, streaming to the terminal",
		Example: "  llmrun generate engine.plan --json-schema person.json --chat \"Who wrote Faust?\"\n  llmrun generate engine.plan --chat \"What is the capital of France?\"\n  llmrun generate engine.plan --prompt \"Once upon\" --max-tokens 64 --temperature 0.8 --seed 7\n  llmrun generate llava.plan --image cat.jpg --chat \"What is this?\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			if f.temperature > 0 && !cmd.Flags().Changed("seed") {
				f.seed = rand.Uint64()
			}
			return f.run(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	}
	f.deviceFlags.add(cmd)
	f.draftFlags.add(cmd)
	f.oneAdapter.add(cmd)
	f.images.add(cmd)
	f.constraint.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.prompt, "prompt", "", "text to continue, as it is")
	flags.StringVar(&f.chat, "chat", "", "a user's message, put into the chat template")
	flags.StringVar(&f.tokens, "tokens", "", "token ids to continue, separated by commas")
	flags.IntVar(&f.maxTokens, "max-tokens", 256, "tokens to generate at most")
	flags.Float32Var(&f.temperature, "temperature", 0, "0 takes the most likely token each time")
	flags.Float32Var(&f.topP, "top-p", 1, "draw from the most likely tokens that make up this probability")
	flags.Int32Var(&f.topK, "top-k", 0, "draw from this many most likely tokens; 0: all")
	flags.Uint64Var(&f.seed, "seed", 0, "of the draws; the same seed gives the same text (default: random)")
	flags.BoolVar(&f.ignoreEOS, "ignore-eos", false, "go on past end-of-sequence tokens")
	flags.BoolVar(&f.json, "json", false, "print JSON at the end instead of streaming text")
	return cmd
}

// check refuses values that no plan could serve.
func (f *generateFlags) check(cmd *cobra.Command) error {
	given := 0
	for _, name := range []string{"prompt", "chat", "tokens"} {
		if cmd.Flags().Changed(name) {
			given++
		}
	}
	switch {
	case given != 1:
		return cli.Usagef("give one of --prompt, --chat and --tokens")
	case f.maxTokens < 1:
		return cli.Usagef("--max-tokens is %d: must be at least 1", f.maxTokens)
	case !(f.temperature >= 0 && f.temperature <= math.MaxFloat32):
		return cli.Usagef("--temperature is %g: must be at least 0", f.temperature)
	case !(f.topP > 0 && f.topP <= 1):
		return cli.Usagef("--top-p is %g: must be above 0 and at most 1", f.topP)
	case f.topK < 0:
		return cli.Usagef("--top-k is %d: must be at least 0", f.topK)
	}
	return f.draftFlags.check(cmd)
}

func (f *generateFlags) run(ctx context.Context, path string, w io.Writer) error {
	start := time.Now()
	constraint, err := f.constraint.source()
	if err != nil {
		return err
	}
	settings, err := f.resolved()
	if err != nil {
		return err
	}
	if follows, err := f.meet(ctx, path, settings.Threads); follows || err != nil {
		return err
	}
	defer f.rankFlags.close()
	settings.MaxSequences = 1
	f.reserve(&settings)
	f.limit(&settings)
	loaded, err := f.rankFlags.load(path, f.device, settings)
	if err != nil {
		return err
	}
	defer loaded.Close()
	tok, err := loaded.Tokenizer()
	if errors.Is(err, engine.ErrNotFound) && f.tokens != "" {
		tok, err = nil, nil // ids go in and come out
	}
	if err != nil {
		return err
	}
	in, err := f.inputs(constraint, loaded, tok)
	if err != nil {
		return err
	}
	settings.MaxAdapters = 0 // of the plan that guesses
	drafting, draft, err := f.drafting(loaded, f.device, settings)
	if err != nil {
		return err
	}
	if draft != nil {
		defer draft.Close()
	}
	e, err := runtime.New(loaded.Model, loaded.Info, tok, runtime.Options{Drafting: drafting})
	if err != nil {
		return err
	}
	defer e.Close()
	var result generated
	result.Timings.Load = time.Since(start).Seconds()
	adapter, err := f.load(ctx, loaded.Plan, e)
	if err != nil {
		return err
	}
	if err := f.generate(ctx, e, in, adapter, w, &result); err != nil {
		return err
	}
	return f.end(w, &result)
}

// end prints what is not printed yet.
func (f *generateFlags) end(w io.Writer, result *generated) error {
	if f.json {
		return cli.PrintJSON(w, result)
	}
	_, err := fmt.Fprintln(w)
	return err
}

// inputs are what a generation takes from the flags.
type inputs struct {
	ids      []int32
	pictures []*runtime.Picture
	grammar  *grammar.Grammar
}

func (f *generateFlags) inputs(constraint grammar.Source, loaded *runtime.Loaded, tok *tokenizer.Tokenizer) (*inputs, error) {
	var in inputs
	var err error
	if in.grammar, err = f.constraint.compile(constraint, loaded, tok); err != nil {
		return nil, err
	}
	if in.pictures, err = f.images.read(&loaded.Info); err != nil {
		return nil, err
	}
	if in.ids, err = f.ids(loaded, tok); err != nil {
		return nil, err
	}
	in.ids, _, err = loaded.Info.Expand(in.ids, len(in.pictures))
	return &in, err
}

// ids returns the prompt that the flags describe.
func (f *generateFlags) ids(loaded *runtime.Loaded, tok *tokenizer.Tokenizer) ([]int32, error) {
	switch {
	case f.tokens != "":
		return parseIDs(f.tokens, loaded.Info.Vocab)
	case f.chat == "":
		return f.images.ids(&loaded.Info, tok, f.prompt)
	}
	r, err := server.PlanChat(loaded.Plan)
	if err != nil {
		return nil, err
	}
	message, err := f.images.message(r, &loaded.Info, tok, f.chat)
	if err != nil {
		return nil, err
	}
	messages, err := json.Marshal([]any{message})
	if err != nil {
		return nil, err
	}
	text, err := r.Render(chat.Prompt{Messages: messages, AddGenerationPrompt: true, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	return tok.Encode(text, false)
}

func (f *generateFlags) generate(ctx context.Context, e *runtime.Engine, in *inputs, adapter *runtime.Adapter, w io.Writer, result *generated) error {
	start := time.Now()
	g, err := e.Submit(ctx, runtime.Request{
		Prompt: in.ids, Pictures: in.pictures, MaxTokens: f.maxTokens, IgnoreEOS: f.ignoreEOS, SkipSpecial: true, PromptLogprobs: -1, Adapter: adapter, Grammar: in.grammar,
		Sampling: engine.Sampling{Temperature: f.temperature, TopP: f.topP, TopK: f.topK, Seed: f.seed, Logprobs: -1},
	})
	if err != nil {
		return err
	}
	result.Tokens, result.PromptTokens = []int32{}, in.ids
	var first, last time.Time
	for {
		event, ok := g.Next(ctx)
		if !ok {
			break
		}
		if event.Err != nil {
			return event.Err
		}
		if event.Token >= 0 {
			if len(result.Tokens) == 0 {
				first = event.Time
			}
			last = event.Time
			result.Tokens = append(result.Tokens, event.Token)
		}
		result.Text += event.Text
		result.Finish = string(event.Finish)
		if !f.json {
			if _, err := io.WriteString(w, event.Text); err != nil {
				return err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.draft != "" {
		usage := g.Usage()
		result.Draft = &drafted{Tokens: usage.DraftTokens, Accepted: usage.AcceptedTokens}
	}
	if !first.IsZero() {
		result.Timings.Prefill, result.Timings.Decode = first.Sub(start).Seconds(), last.Sub(first).Seconds()
	}
	return nil
}
