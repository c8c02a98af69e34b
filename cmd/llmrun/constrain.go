package main

import (
	"os"

	"github.com/spf13/cobra"

	"llmc/internal/cli"
	"llmc/internal/tokenizer"
	"llmc/runtime"
	"llmc/runtime/grammar"
)

// constraintFlags say what the output has to keep to.
type constraintFlags struct {
	schema, regex, grammar string
	choices                []string
}

func (f *constraintFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.schema, "json-schema", "", "file of a JSON schema that the output has to be valid under")
	flags.StringVar(&f.regex, "regex", "", "regular expression that the whole output has to match")
	flags.StringVar(&f.grammar, "grammar", "", "file of a grammar, in GBNF or Lark, that the output has to keep to")
	flags.StringArrayVar(&f.choices, "choice", nil, "text that the output may be; give it for each")
}

// source is the description that the flags name.
func (f *constraintFlags) source() (s grammar.Source, err error) {
	given := 0
	read := func(kind grammar.Kind, path string) {
		var data []byte
		data, err = os.ReadFile(path)
		s = grammar.Source{Kind: kind, Text: string(data)}
		given++
	}
	if f.schema != "" {
		read(grammar.JSONSchema, f.schema)
	}
	if err == nil && f.grammar != "" {
		read(grammar.EBNF, f.grammar)
	}
	if f.regex != "" {
		s = grammar.Source{Kind: grammar.Regex, Text: f.regex}
		given++
	}
	if len(f.choices) > 0 {
		s = grammar.Source{Kind: grammar.Choice, Choices: f.choices}
		given++
	}
	if given > 1 {
		return s, cli.Usagef("give one of --json-schema, --regex, --grammar and --choice")
	}
	return s, err
}

// compile makes the grammar of the flags for a model; nil: there is none.
func (f *constraintFlags) compile(s grammar.Source, loaded *runtime.Loaded, tok *tokenizer.Tokenizer) (*grammar.Grammar, error) {
	if s.Kind == grammar.None {
		return nil, nil
	}
	compiler := runtime.NewGrammars(&loaded.Info, tok)
	if compiler == nil {
		return nil, cli.Usagef("the output of this plan can not be constrained: its tokens are not pieces of text")
	}
	return compiler.Compile(s)
}
