package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"llmc/compiler/hf"
	"llmc/internal/chat"
	"llmc/internal/cli"
)

func renderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "render DIR",
		Short:   "Lay out conversations with the chat template of a checkpoint: one JSON request a line on standard input",
		Example: `  echo '{"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":true}' | llmc render ./model --json`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := openTemplates(args[0])
			if err != nil {
				return err
			}
			return cli.AnswerLines(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), func(line []byte) (any, error) { return r.RenderLine(line) })
		},
	}
	cli.CompleteArgs(cmd, cli.ModelArg)
	cmd.Flags().Bool("json", true, "answers are JSON (always)")
	return cmd
}

func openTemplates(dir string) (*chat.Renderer, error) {
	var f chat.Files
	for _, part := range []struct {
		name string
		dst  *[]byte
	}{{"tokenizer_config.json", &f.Config}, {"special_tokens_map.json", &f.SpecialTokensMap}, {"chat_template.jinja", &f.Jinja}, {"chat_template.json", &f.JSON}} {
		var err error
		if *part.dst, err = readOptional(filepath.Join(dir, part.name)); err != nil {
			return nil, err
		}
	}
	named, err := hf.NamedTemplates(dir)
	if err != nil {
		return nil, err
	}
	f.Named = named
	templates, err := chat.Find(f)
	if err != nil {
		return nil, err
	}
	return chat.NewRenderer(templates, f)
}

const maxTemplateFile = 64 << 20

func readOptional(path string) ([]byte, error) {
	// Looked at before opening, which would wait for the other end of a named pipe.
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is not a regular file", path)
	}
	if info.Size() > maxTemplateFile {
		return nil, fmt.Errorf("%s: has %s, at most %s are read", path, cli.FormatBytes(info.Size()), cli.FormatBytes(maxTemplateFile))
	}
	return os.ReadFile(path)
}
