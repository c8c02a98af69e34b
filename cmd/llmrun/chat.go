package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"llmc/engine"
	"llmc/internal/chat"
	"llmc/internal/cli"
	"llmc/internal/tokenizer"
	"llmc/runtime"
	"llmc/runtime/server"
)

func chatCommand() *cobra.Command {
	var device deviceFlags
	var adapter oneAdapter
	var render bool
	var images imageFlags
	cmd := &cobra.Command{
		Use:     "chat PLAN",
		Short:   "Talk to a model in the terminal; with --render, lay out conversations from standard input",
		Example: "  llmrun chat engine.plan\n  echo '{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"add_generation_prompt\":true}' | llmrun chat engine.plan --render --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !render {
				return converse(cmd, args[0], &device, &adapter, &images)
			}
			plan, err := engine.Open(args[0])
			if err != nil {
				return err
			}
			defer plan.Close()
			r, err := server.PlanChat(plan)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return cli.AnswerLines(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), func(line []byte) (any, error) { return r.RenderLine(line) })
		},
	}
	device.add(cmd)
	adapter.add(cmd)
	images.add(cmd)
	cmd.Flags().BoolVar(&render, "render", false, "print what the chat template makes of each line of standard input")
	cmd.Flags().Bool("json", true, "with --render: answers are JSON (always)")
	return cmd
}

// converse reads messages from standard input and streams the answers, keeping the conversation.
func converse(cmd *cobra.Command, path string, device *deviceFlags, adapter *oneAdapter, images *imageFlags) error {
	settings, err := device.resolved()
	if err != nil {
		return err
	}
	settings.MaxSequences = 1
	adapter.limit(&settings)
	if follows, err := device.meet(cmd.Context(), path, settings.Threads); follows || err != nil {
		return err
	}
	defer device.close()
	loaded, err := device.load(path, device.device, settings)
	if err != nil {
		return err
	}
	defer loaded.Close()
	tok, err := loaded.Tokenizer()
	if err != nil {
		return err
	}
	renderer, err := server.PlanChat(loaded.Plan)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	e, err := runtime.New(loaded.Model, loaded.Info, tok, runtime.Options{})
	if err != nil {
		return err
	}
	defer e.Close()
	loadedAdapter, err := adapter.load(cmd.Context(), loaded.Plan, e)
	if err != nil {
		return err
	}
	t := talk{cmd: cmd, renderer: renderer, tok: tok, engine: e, adapter: loadedAdapter, info: &loaded.Info, images: *images}
	if t.pictures, err = images.read(t.info); err != nil {
		return err
	}
	lines := cli.NewLineReader(cmd.InOrStdin())
	for {
		fmt.Fprint(cmd.ErrOrStderr(), "> ")
		line, err := lines.Next(cmd.Context())
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if text := strings.TrimSpace(string(line)); text != "" {
			if err := t.turn(text); err != nil {
				return err
			}
		}
	}
}

// talk is a conversation at the terminal.
type talk struct {
	cmd      *cobra.Command
	renderer *chat.Renderer
	tok      *tokenizer.Tokenizer
	engine   *runtime.Engine
	adapter  *runtime.Adapter // nil: none
	info     *engine.ModelInfo
	images   imageFlags // of the next message
	pictures []*runtime.Picture
	messages []map[string]json.RawMessage
}

func (t *talk) turn(text string) error {
	message, err := t.images.message(t.renderer, t.info, t.tok, text)
	if err != nil {
		return err
	}
	t.images.files = nil
	t.messages = append(t.messages, message)
	encoded, err := json.Marshal(t.messages)
	if err != nil {
		return err
	}
	prompt, err := t.renderer.Render(chat.Prompt{Messages: encoded, AddGenerationPrompt: true, Now: time.Now()})
	if err != nil {
		return err
	}
	ids, err := t.tok.Encode(prompt, false)
	if err != nil {
		return err
	}
	if ids, _, err = t.info.Expand(ids, len(t.pictures)); err != nil {
		return err
	}
	f := generateFlags{}
	var result generated
	out := t.cmd.OutOrStdout()
	if err := f.generate(t.cmd.Context(), t.engine, &inputs{ids: ids, pictures: t.pictures}, t.adapter, out, &result); err != nil {
		return err
	}
	answer, err := t.images.message(t.renderer, t.info, t.tok, result.Text)
	if err != nil {
		return err
	}
	answer["role"] = json.RawMessage(`"assistant"`)
	t.messages = append(t.messages, answer)
	_, err = fmt.Fprintln(out)
	return err
}
