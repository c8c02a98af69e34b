package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"llmc/engine"
	"llmc/internal/chat"
	"llmc/internal/cli"
	"llmc/internal/tokenizer"
	"llmc/runtime"
	"llmc/runtime/pixels"
)

// imageFlags are the image files that a prompt shows the model.
type imageFlags struct{ files []string }

func (f *imageFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.files, "image", nil, "PNG, JPEG or WebP file that the model is shown, in front of the text unless that says where; may be given several times")
}

// read prepares the images for the model.
func (f *imageFlags) read(info *engine.ModelInfo) ([]*runtime.Picture, error) {
	var pictures []*runtime.Picture
	for _, file := range f.files {
		data, err := cli.ReadFile(file, pixels.MaxBytes)
		if err != nil {
			return nil, err
		}
		p, err := runtime.ReadPicture(data, info)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		pictures = append(pictures, p)
	}
	return pictures, nil
}

// name is the text of the token that stands for an image; "": the model reads none.
func imageName(info *engine.ModelInfo, tok *tokenizer.Tokenizer) string {
	if info.Insert == nil || tok == nil {
		return ""
	}
	return string(tok.TokenBytes(info.Insert.Token))
}

// ids returns the tokens of a text in front of which the images are, unless it says where.
func (f *imageFlags) ids(info *engine.ModelInfo, tok *tokenizer.Tokenizer, text string) ([]int32, error) {
	ids, err := tok.Encode(text, true)
	if name := imageName(info, tok); err == nil && name != "" && len(f.files) > 0 && !slices.Contains(ids, info.Insert.Token) {
		ids, err = tok.Encode(strings.Repeat(name+"\n", len(f.files))+text, true)
	}
	return ids, err
}

// message is a user's message that shows the images in front of a text.
func (f *imageFlags) message(r *chat.Renderer, info *engine.ModelInfo, tok *tokenizer.Tokenizer, text string) (map[string]json.RawMessage, error) {
	name := imageName(info, tok)
	content, err := chat.Show(text, len(f.files), name != "" && r.ReadsParts(), name)
	return map[string]json.RawMessage{"role": json.RawMessage(`"user"`), "content": bytes.TrimSpace(content)}, err
}

// shownLogits returns the logits of the last or of every position of a prompt that may show an image.
func shownLogits(loaded *runtime.Loaded, in *givenInput, all bool) ([][]float32, error) {
	var images imageFlags
	if in.image != "" {
		images.files = []string{in.image}
	}
	pictures, err := images.read(&loaded.Info)
	if err != nil {
		return nil, err
	}
	var ids []int32
	if in.tokens != "" {
		ids, err = parseIDs(in.tokens, loaded.Info.Vocab)
	} else {
		var tok *tokenizer.Tokenizer
		if tok, err = loaded.Tokenizer(); err == nil {
			ids, err = images.ids(&loaded.Info, tok, in.text)
		}
	}
	if err != nil {
		return nil, err
	}
	ids, at, err := loaded.Info.Expand(ids, len(pictures))
	if err != nil {
		return nil, err
	}
	types, soft, err := runtime.Rows(loaded.Model, &loaded.Info, ids, at, pictures)
	if err != nil {
		return nil, err
	}
	var rows [][]float32
	want := func(position int) bool { return all || position == len(ids)-1 }
	err = engine.ForwardRows(loaded.Model, loaded.Info.Vocab, ids, types, soft, want, func(_ int, row []float32) error {
		rows = append(rows, slices.Clone(row))
		return nil
	})
	return rows, err
}
