package models

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"go.starlark.net/lib/math"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"llmc/compiler/hf"
)

// Script is a family as text, given at build: a program in Starlark (a subset of Python without files, clocks or endless loops) with a function
// that reads config.json and one that says in ops of the IR what is computed. docs/family-files.md describes it.
type Script struct {
	Path   string
	Digest string // SHA-256 of the text, in hex
	text   []byte
	steps  uint64 // that its functions may take
}

// Bounds of a family file: its bytes, and the steps that its functions may take.
const (
	maxScriptBytes = 1 << 20
	maxScriptSteps = 20e6
)

// ReadScript reads a family file. What it says is looked at when it is used.
func ReadScript(path string) (*Script, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxScriptBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxScriptBytes {
		return nil, fmt.Errorf("%s: a family file of more than %d bytes", path, maxScriptBytes)
	}
	sum := sha256.Sum256(text)
	return &Script{Path: path, Digest: hex.EncodeToString(sum[:]), text: text, steps: maxScriptSteps}, nil
}

// scriptRun is one use of a script.
type scriptRun struct {
	*Script
	thread  *starlark.Thread
	globals starlark.StringDict
}

// start runs the text, which defines names and functions.
func (s *Script) start() (*scriptRun, error) {
	r := &scriptRun{Script: s, thread: &starlark.Thread{Name: s.Path, Print: func(_ *starlark.Thread, text string) { fmt.Fprintln(os.Stderr, text) }}}
	r.thread.SetMaxExecutionSteps(s.steps)
	known := starlark.StringDict{"struct": starlark.NewBuiltin("struct", starlarkstruct.Make), "math": math.Module}
	var err error
	r.globals, err = starlark.ExecFileOptions(&syntax.FileOptions{}, r.thread, s.Path, s.text, known)
	return r, r.located(err)
}

// located puts the line of the file before a mistake that a function of it made, and keeps what the mistake is made of.
func (r *scriptRun) located(err error) error {
	var eval *starlark.EvalError
	if !errors.As(err, &eval) {
		return err
	}
	for _, frame := range slices.Backward(eval.CallStack) {
		if frame.Pos.Filename() != r.Path {
			continue
		}
		if cause := eval.Unwrap(); cause != nil {
			return fmt.Errorf("%s: %w", frame.Pos, cause)
		}
		return fmt.Errorf("%s: %s", frame.Pos, eval.Msg)
	}
	return fmt.Errorf("%s: %w", r.Path, err)
}

// call runs one of the file's functions.
func (r *scriptRun) call(name string, args ...starlark.Value) (starlark.Value, error) {
	f, ok := r.globals[name].(*starlark.Function)
	if !ok {
		return nil, fmt.Errorf("%s: there is no function %s; a family file has config(c) and step(m, c)", r.Path, name)
	}
	y, err := starlark.Call(r.thread, f, args, nil)
	return y, r.located(err)
}

// texts reads a global that is a text or a list of texts; nil where there is none.
func (r *scriptRun) texts(name string) ([]string, error) {
	switch v := r.globals[name].(type) {
	case nil:
		return nil, nil
	case starlark.String:
		return []string{string(v)}, nil
	case *starlark.List:
		var all []string
		for i := range v.Len() {
			text, ok := starlark.AsString(v.Index(i))
			if !ok {
				return nil, fmt.Errorf("%s: %s[%d] is not a text", r.Path, name, i)
			}
			all = append(all, text)
		}
		return all, nil
	}
	return nil, fmt.Errorf("%s: %s is neither a text nor a list of texts", r.Path, name)
}

// scriptNames are the globals of a family file that name something.
type scriptNames struct{ modelTypes, architectures, ignored, unused, table []string }

func (r *scriptRun) names() (n scriptNames, err error) {
	for _, global := range []struct {
		name string
		to   *[]string
	}{
		{"model_type", &n.modelTypes}, {"architecture", &n.architectures},
		{"ignored_keys", &n.ignored}, {"unused_tensors", &n.unused}, {"embeddings", &n.table},
	} {
		if *global.to, err = r.texts(global.name); err != nil {
			return n, err
		}
	}
	if len(n.modelTypes) == 0 {
		return n, fmt.Errorf("%s: model_type is missing: the model_type of config.json that the file is for", r.Path)
	}
	return n, nil
}

// accepts wants a config.json that the file is for.
func (n *scriptNames) accepts(c *hf.Config, path string) error {
	if !slices.Contains(n.modelTypes, c.ModelType) {
		return c.Errorf("model_type", "is %q; %s is for %q", c.ModelType, path, n.modelTypes)
	}
	known := func(name string) bool { return slices.Contains(n.architectures, name) }
	if len(n.architectures) > 0 && len(c.Architectures) > 0 && !slices.ContainsFunc(c.Architectures, known) {
		return c.Errorf("architectures", "is %q; %s is for %q", c.Architectures, path, n.architectures)
	}
	return nil
}
