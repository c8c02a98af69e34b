package main

import (
	"context"
	"fmt"
	"time"
)

// constraints asks for short answers beside streams: any first, then such that keep to a schema that no request has had before, which takes the server work to compile and to get masks of its
// vocabulary ready. Vocabularies below some thousand tokens, such as the bundled model's, get nothing ready.
func constraints(ctx context.Context, o *options) error {
	asking := func(field func(n int) map[string]any) func(context.Context, *process, *traffic) error {
		return func(ctx context.Context, _ *process, t *traffic) error {
			for n, end := 0, time.Now().Add(aloneFor); time.Now().Before(end); n++ {
				next := time.Now().Add(constraintEvery)
				q := question{dialect: &dialects[1], model: served, prompt: "Tell me of yourself.", tokens: 4, fields: field(n)}
				if _, err := ask(ctx, t.client, t.url, &q, false, nil); err != nil {
					return err
				}
				time.Sleep(time.Until(next))
			}
			return nil
		}
	}
	return o.compare(ctx, []phase{
		{"short answers", asking(func(int) map[string]any { return map[string]any{"temperature": 0} })},
		{"short answers, new schemas", asking(func(n int) map[string]any {
			return map[string]any{"temperature": 0, "response_format": map[string]any{"type": "json_schema", "json_schema": map[string]any{"name": "new", "schema": newSchema(n)}}}
		})},
	})
}

// constraintEvery is how often somebody comes with a schema.
const constraintEvery = 300 * time.Millisecond

// newSchema is a description of an object whose rules are those of no other n.
func newSchema(n int) map[string]any {
	properties := map[string]any{}
	for i := range 6 {
		properties[fmt.Sprintf("name%d_%d", n, i)] = []map[string]any{
			{"type": "string", "minLength": 1 + n%7, "maxLength": 40 + n},
			{"type": "string", "pattern": fmt.Sprintf("^[A-Z][a-z]{%d,%d}( [a-z]+)*$", 1+n%5, 20+n)},
			{"type": "integer", "minimum": -n, "maximum": 1000 + n},
			{"enum": []string{fmt.Sprintf("kind %d", n), fmt.Sprintf("other %d", n), "none"}},
			{"type": "array", "items": map[string]any{"type": "string", "maxLength": 90 + n}},
			{"type": "object", "properties": map[string]any{fmt.Sprintf("inner%d", n): map[string]any{"type": "number"}, "text": map[string]any{"type": "string", "minLength": 2 + n}}},
		}[i]
	}
	return map[string]any{"type": "object", "properties": properties}
}
