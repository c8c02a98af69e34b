// Package otlp sends spans to a collector of OpenTelemetry: OTLP in protobuf over HTTP or gRPC, set up by the variables of the environment that the specification
// names. It owns the encoding, the trace context of W3C, the choice of what is sampled and the queue before the collector, which is bounded: what does not fit is dropped and
// counted, and nobody waits.
//
// It must not know what a span is about.
package otlp
