package template

import (
	"os"
	"path/filepath"
	"testing"

	"llmc/internal/golden"
)

// conversation is ten messages after a system prompt, and two tools.
func conversation(tb testing.TB) Context {
	cases, _ := Elements(readJSON(tb, filepath.Join(golden.Shared(tb, "chat_templates"), "cases.json")))
	var c Context
	for _, item := range cases {
		if textMember(item, "name") == "tools_first_turn" {
			c.Tools = member(member(item, "context"), "tools")
		}
	}
	messages := []Value{Object(Member{"role", String("system")}, Member{"content", String("You are a helpful assistant.")})}
	for range 5 {
		messages = append(messages,
			Object(Member{"role", String("user")}, Member{"content", String("What is the weather like in Zürich, and what should I wear?")}),
			Object(Member{"role", String("assistant")}, Member{"content", String("It is sunny. A light jacket is enough.\n\nEnjoy the day!")}))
	}
	c.Messages = List(messages...)
	c.AddGenerationPrompt = true
	c.BOSToken, c.EOSToken = "<s>", "</s>"
	return c
}

func benchmarkTemplates() []string {
	return []string{"meta-llama-Llama-3.1-8B-Instruct.jinja", "Qwen-Qwen3-0.6B.jinja", "google-gemma-4-31B-it.jinja"}
}

func BenchmarkRender(b *testing.B) {
	for _, name := range benchmarkTemplates() {
		b.Run(name, func(b *testing.B) {
			source, err := os.ReadFile(filepath.Join(golden.Shared(b, "chat_templates"), "templates", name))
			if err != nil {
				b.Fatal(err)
			}
			tmpl, err := Parse(string(source))
			if err != nil {
				b.Fatal(err)
			}
			c := conversation(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tmpl.Render(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, name := range benchmarkTemplates() {
		b.Run(name, func(b *testing.B) {
			source, err := os.ReadFile(filepath.Join(golden.Shared(b, "chat_templates"), "templates", name))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(string(source)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
