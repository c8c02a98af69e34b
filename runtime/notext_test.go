package runtime

import "testing"

// TestNoTokenizer wants tokens from a plan that has no tokenizer.
func TestNoTokenizer(t *testing.T) {
	e, err := New(newEcho(), info, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r := read(t, submit(t, e, scriptText("hello")))
	if r.text != "" || len(r.tokens) != 6 || r.last.Finish != FinishStop {
		t.Errorf("%q, tokens %v, end %+v", r.text, r.tokens, r.last)
	}
}
