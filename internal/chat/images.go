package chat

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"llmc/internal/template"
)

// probe is a text that no template writes by itself.
const probe = "llmc-probe-7d1f"

// ReadsParts tells whether the template lays out contents that are lists of parts, images among them: it writes something for an image, and the text of
// the part behind it as it is.
func (r *Renderer) ReadsParts() bool {
	render := func(parts ...map[string]string) string {
		messages, err := json.Marshal([]map[string]any{{"role": "user", "content": parts}})
		if err != nil {
			return ""
		}
		text, err := r.Render(Prompt{Messages: messages, Now: time.Unix(0, 0)})
		if err != nil || !strings.Contains(text, probe) || strings.Contains(text, `'type'`) || strings.Contains(text, `"type"`) {
			return ""
		}
		return text
	}
	text := map[string]string{"type": "text", "text": probe}
	alone, shown := render(text), render(map[string]string{"type": "image"}, text)
	return alone != "" && shown != "" && alone != shown
}

// Show is the JSON of a content: images, then a text. name is the text of the token that stands for an image where templates read no parts.
func Show(text string, images int, parts bool, name string) ([]byte, error) {
	if !parts {
		return json.Marshal(strings.Repeat(name+"\n", images) + text)
	}
	content := []map[string]string{}
	for range images {
		content = append(content, map[string]string{"type": "image"})
	}
	return json.Marshal(append(content, map[string]string{"type": "text", "text": text}))
}

// fromJSON returns the template of chat_template.json.
func fromJSON(data []byte) (string, error) {
	var file struct {
		Template *string `json:"chat_template"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return "", fmt.Errorf("chat_template.json: expected an object with the text chat_template: %w", err)
	}
	if file.Template == nil {
		return "", fmt.Errorf("chat_template.json: chat_template: %w", template.ErrNoTemplate)
	}
	return *file.Template, nil
}
