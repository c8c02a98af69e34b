package otlp

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields of opentelemetry/proto/{collector/trace,trace,common,resource}/v1.
const (
	requestResourceSpans = 1

	resourceSpansResource, resourceSpansScopes = 1, 2
	resourceAttributes                         = 1
	scopeSpansScope, scopeSpansSpans           = 1, 2
	scopeName, scopeVersion                    = 1, 2

	spanTrace, spanID, spanState, spanParent, spanName, spanKind = 1, 2, 3, 4, 5, 6
	spanStart, spanEnd, spanAttributes, spanEvents               = 7, 8, 9, 11
	spanStatus, spanFlags                                        = 15, 16
	eventTime, eventName, eventAttributes                        = 1, 2, 3
	statusMessage, statusCode                                    = 2, 3

	keyValueKey, keyValueValue                               = 1, 2
	anyString, anyBool, anyInt, anyDouble, anyArray, arrayOf = 1, 2, 3, 4, 5, 1

	kindServer  = 2
	statusError = 2
)

// encode appends an ExportTraceServiceRequest.
func encode(dst []byte, resource []Attribute, version string, spans []Span) []byte {
	return message(dst, requestResourceSpans, func(dst []byte) []byte {
		dst = message(dst, resourceSpansResource, func(dst []byte) []byte { return appendAttributes(dst, resourceAttributes, resource) })
		return message(dst, resourceSpansScopes, func(dst []byte) []byte {
			dst = message(dst, scopeSpansScope, func(dst []byte) []byte {
				return text(text(dst, scopeName, "llmrun"), scopeVersion, version)
			})
			for i := range spans {
				dst = message(dst, scopeSpansSpans, spans[i].append)
			}
			return dst
		})
	})
}

func (s *Span) append(dst []byte) []byte {
	dst = bytesOf(dst, spanTrace, s.Trace[:])
	dst = bytesOf(dst, spanID, s.ID[:])
	dst = text(dst, spanState, s.State)
	flags := uint32(0x100) // it is known whether the parent is remote
	if s.Sampled {
		flags |= 1
	}
	if s.Parent != (SpanID{}) {
		dst = bytesOf(dst, spanParent, s.Parent[:])
		flags |= 0x200 // it is
	}
	dst = text(dst, spanName, s.Name)
	dst = number(dst, spanKind, kindServer)
	dst = moment(dst, spanStart, s.Start)
	dst = moment(dst, spanEnd, s.End)
	dst = appendAttributes(dst, spanAttributes, s.Attributes)
	for _, e := range s.Events {
		dst = message(dst, spanEvents, func(dst []byte) []byte {
			return appendAttributes(text(moment(dst, eventTime, e.Time), eventName, e.Name), eventAttributes, e.Attributes)
		})
	}
	if s.Failed != "" {
		dst = message(dst, spanStatus, func(dst []byte) []byte { return number(text(dst, statusMessage, s.Failed), statusCode, statusError) })
	}
	return protowire.AppendFixed32(protowire.AppendTag(dst, spanFlags, protowire.Fixed32Type), flags)
}

func appendAttributes(dst []byte, field protowire.Number, attributes []Attribute) []byte {
	for _, a := range attributes {
		dst = message(dst, field, func(dst []byte) []byte {
			dst = text(dst, keyValueKey, a.Key)
			return message(dst, keyValueValue, func(dst []byte) []byte { return appendValue(dst, a.Value) })
		})
	}
	return dst
}

// appendValue appends the content of an AnyValue; what is of another type becomes one without content.
func appendValue(dst []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return bytesOf(dst, anyString, []byte(v))
	case bool:
		return number(dst, anyBool, protowire.EncodeBool(v))
	case int:
		return number(dst, anyInt, uint64(v))
	case float64:
		return protowire.AppendFixed64(protowire.AppendTag(dst, anyDouble, protowire.Fixed64Type), math.Float64bits(v))
	case []string:
		return message(dst, anyArray, func(dst []byte) []byte {
			for _, s := range v {
				dst = message(dst, arrayOf, func(dst []byte) []byte { return bytesOf(dst, anyString, []byte(s)) })
			}
			return dst
		})
	}
	return dst
}

// message appends a field that is a message, which content appends.
func message(dst []byte, field protowire.Number, content func([]byte) []byte) []byte {
	return bytesOf(dst, field, content(nil))
}

func bytesOf(dst []byte, field protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, field, protowire.BytesType), b)
}

// text appends a string, unless it is empty.
func text(dst []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	return bytesOf(dst, field, []byte(s))
}

func number(dst []byte, field protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), n)
}

// moment appends a time in nanoseconds since 1970.
func moment(dst []byte, field protowire.Number, t time.Time) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(dst, field, protowire.Fixed64Type), uint64(t.UnixNano()))
}
