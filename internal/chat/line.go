package chat

import (
	"encoding/json"
	"fmt"
	"time"
)

// line is one request of `llmc render` and `llmrun chat --render`.
type line struct {
	Messages            json.RawMessage `json:"messages"`
	Tools               json.RawMessage `json:"tools"`
	Documents           json.RawMessage `json:"documents"`
	AddGenerationPrompt bool            `json:"add_generation_prompt"`
	Kwargs              json.RawMessage `json:"kwargs"`
	Now                 string          `json:"now"`
}

// nowLayouts are the forms in which "now" may be given.
var nowLayouts = []string{"2006-01-02T15:04:05", time.RFC3339, "2006-01-02 15:04:05", "2006-01-02"}

// RenderLine renders one JSON request: messages, tools, documents, add_generation_prompt, kwargs, now.
func (r *Renderer) RenderLine(text []byte) (string, error) { return r.RenderLineAt(text, time.Now()) }

// RenderLineAt is RenderLine with the time that requests see which tell none.
func (r *Renderer) RenderLineAt(text []byte, now time.Time) (string, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return "", fmt.Errorf("expected an object with messages: %w", err)
	}
	p := Prompt{
		Messages: present(l.Messages), Tools: present(l.Tools), Documents: present(l.Documents), Kwargs: present(l.Kwargs),
		AddGenerationPrompt: l.AddGenerationPrompt, Now: now,
	}
	if l.Now != "" {
		now, err := parseNow(l.Now)
		if err != nil {
			return "", err
		}
		p.Now = now
	}
	return r.Render(p)
}

// present maps JSON's null to an absent part.
func present(text json.RawMessage) []byte {
	if string(text) == "null" {
		return nil
	}
	return text
}

func parseNow(text string) (time.Time, error) {
	for _, layout := range nowLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("now: %q is not a time such as 2026-01-15T12:34:56", text)
}
