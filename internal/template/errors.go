package template

import "fmt"

// SyntaxError reports a template that does not compile.
type SyntaxError struct {
	Line    int // of the template, from 1
	Message string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("chat template line %d: %s", e.Line, e.Message)
}

// RaisedError carries the message a template gave to raise_exception: it refuses this conversation.
type RaisedError struct{ Message string }

func (e *RaisedError) Error() string { return e.Message }

// ErrorKind names the Python or Jinja exception that a RenderError stands for.
type ErrorKind string

// The exceptions that rendering can meet.
const (
	TypeError         ErrorKind = "TypeError"
	ValueError        ErrorKind = "ValueError"
	KeyError          ErrorKind = "KeyError"
	IndexError        ErrorKind = "IndexError"
	AttributeError    ErrorKind = "AttributeError"
	ZeroDivisionError ErrorKind = "ZeroDivisionError"
	OverflowError     ErrorKind = "OverflowError"
	AssertionError    ErrorKind = "AssertionError"
	NotImplemented    ErrorKind = "NotImplementedError" // valid Python that this interpreter refuses
	RuntimeError      ErrorKind = "RuntimeError"
	TemplateRuntime   ErrorKind = "TemplateRuntimeError"
	UndefinedError    ErrorKind = "UndefinedError"
	SecurityError     ErrorKind = "SecurityError"
	FilterArgument    ErrorKind = "FilterArgumentError"
)

// RenderError reports an operation that Python or Jinja refuses at run time.
type RenderError struct {
	Kind    ErrorKind
	Line    int // of the statement; 0 when unknown
	Message string
}

func (e *RenderError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("chat template: %s: %s", e.Kind, e.Message)
	}
	return fmt.Sprintf("chat template line %d: %s: %s", e.Line, e.Kind, e.Message)
}

// LimitError reports that a rendering was stopped because it asked for too much.
type LimitError struct {
	Limit string // "steps", "memory", "output", "depth" or "digits"
	Max   int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("chat template stopped: more than %d %s", e.Max, limitUnits[e.Limit])
}

var limitUnits = map[string]string{
	"steps":  "evaluation steps",
	"memory": "bytes of intermediate values",
	"output": "bytes of output",
	"depth":  "nested calls or values",
	"digits": "bits in an integer",
}

func fail(kind ErrorKind, format string, args ...any) error {
	return &RenderError{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

func typeError(format string, args ...any) error {
	return &RenderError{Kind: TypeError, Message: fmt.Sprintf(format, args...)}
}
