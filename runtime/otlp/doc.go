// Package otlp sends spans to a collector of OpenTelemetry: OTLP over HTTP in protobuf, set up by the variables of the environment that the specification
// names. It owns the encoding, the trace context of W3C, the choice of what is sampled and the queue before the collector, which is bounded: what does not fit is dropped and
// counted, and nobody waits. The SDK of OpenTelemetry would bring gRPC into the binary.
//
// It must not know what a span is about.
package otlp
