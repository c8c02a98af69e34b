package hf

import (
	"strings"
	"testing"
)

func TestErrorsAreOneLine(t *testing.T) {
	for _, err := range []error{
		fieldError("config.json", "a\nb\x00c", "is %d", 1), tensorError("x.safetensors", "a\nb", "is missing"), fieldError("config.json", strings.Repeat("é", 500), "is long"),
	} {
		if text := err.Error(); strings.ContainsAny(text, "\n\x00") || len(text) > 300 {
			t.Errorf("%q", text)
		}
	}
	if text := fieldError("config.json", "a\nb\x00c", "is %d", 1).Error(); text != "config.json: abc: is 1" {
		t.Errorf("%q", text)
	}
}
