package hf

import (
	"fmt"
	"strings"
	"unicode"
)

// Error says what is wrong in a checkpoint, and where.
type Error struct {
	File   string // name inside the checkpoint's directory
	Tensor string // "" when it is not about one tensor
	Field  string // path of a JSON field such as "rope_scaling.factor", "" when it is not about one
	Err    error
}

// Error returns one line: file, tensor, field, problem.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Tensor != "" {
		fmt.Fprintf(&b, ": tensor %q", clip(e.Tensor))
	}
	if e.Field != "" {
		b.WriteString(": " + clip(e.Field))
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// clip shortens names from outside and leaves out what would not print, so that messages stay readable, and one line.
func clip(name string) string {
	const most = 120
	name = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, name)
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "..."
}

func fileError(file, format string, args ...any) error {
	return &Error{File: file, Err: fmt.Errorf(format, args...)}
}

func tensorError(file, tensor, format string, args ...any) error {
	return &Error{File: file, Tensor: tensor, Err: fmt.Errorf(format, args...)}
}

func fieldError(file, field, format string, args ...any) error {
	return &Error{File: file, Field: field, Err: fmt.Errorf(format, args...)}
}
