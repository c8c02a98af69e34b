package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

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
	config, err := readOptional(filepath.Join(dir, "tokenizer_config.json"))
	if err != nil {
		return nil, err
	}
	jinja, err := readOptional(filepath.Join(dir, "chat_template.jinja"))
	if err != nil {
		return nil, err
	}
	templates, err := chat.Find(config, jinja)
	if err != nil {
		return nil, err
	}
	return chat.NewRenderer(templates, config)
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
