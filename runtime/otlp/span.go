package otlp

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"
)

// TraceID and SpanID are random; zero is none.
type (
	TraceID [16]byte
	SpanID  [8]byte
)

// String is the id in hexadecimal digits.
func (id TraceID) String() string { return hex.EncodeToString(id[:]) }

// String is the id in hexadecimal digits.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// Context is what a request says of the trace that it is part of (W3C Trace Context).
type Context struct {
	Trace   TraceID
	Parent  SpanID // zero: the trace begins here
	Sampled bool   // somebody records the parent
	State   string // header tracestate, as it came
}

// Attribute is a fact about a span. Value is a string, bool, int, float64 or []string.
type Attribute struct {
	Key   string
	Value any
}

// Event is something that happened at a moment of a span.
type Event struct {
	Time       time.Time
	Name       string
	Attributes []Attribute
}

// Span is one piece of work, done for somebody else.
type Span struct {
	Context
	ID         SpanID
	Name       string
	Start, End time.Time
	Attributes []Attribute
	Events     []Event
	Failed     string // why; "": it did not
}

// NewTrace returns the context of a trace that begins here.
func NewTrace() Context {
	var c Context
	_, _ = rand.Read(c.Trace[:]) // never fails
	return c
}

// NewSpan returns an id for a span.
func NewSpan() SpanID {
	var id SpanID
	_, _ = rand.Read(id[:])
	return id
}

// maxState bounds tracestate, as the recommendation does.
const maxState = 512

// Parse reads the headers traceparent and tracestate. What is malformed begins a trace of its own, as the recommendation says.
func Parse(traceparent, tracestate string) Context {
	// version-trace-parent-flags; later versions may have more behind.
	parts := strings.SplitN(traceparent, "-", 5)
	if len(parts) < 4 || len(parts[0]) != 2 || parts[0] == "ff" || parts[0] == "00" && len(parts) != 4 {
		return NewTrace()
	}
	var c Context
	var version, flags [1]byte
	for _, p := range []struct {
		text string
		to   []byte
	}{{parts[0], version[:]}, {parts[1], c.Trace[:]}, {parts[2], c.Parent[:]}, {parts[3], flags[:]}} {
		if len(p.text) != hex.EncodedLen(len(p.to)) || strings.ToLower(p.text) != p.text {
			return NewTrace()
		}
		if _, err := hex.Decode(p.to, []byte(p.text)); err != nil {
			return NewTrace()
		}
	}
	if c.Trace == (TraceID{}) || c.Parent == (SpanID{}) {
		return NewTrace()
	}
	c.Sampled = flags[0]&1 == 1
	if len(tracestate) <= maxState {
		c.State = tracestate
	}
	return c
}
