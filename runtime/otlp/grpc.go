package otlp

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// overGRPC is OTLP over gRPC. The connection is made when spans are sent, and again when it has been lost.
type overGRPC struct {
	conn    *grpc.ClientConn
	timeout time.Duration
	headers metadata.MD
	failed  error // why there is no connection to be had
}

func newGRPC(s *Settings, agent string) *overGRPC {
	creds := insecure.NewCredentials()
	if s.secure {
		creds = credentials.NewTLS(s.tls)
	}
	g := &overGRPC{timeout: s.Timeout, headers: metadata.New(s.Headers)}
	g.conn, g.failed = grpc.NewClient(s.Endpoint, grpc.WithTransportCredentials(creds), grpc.WithUserAgent(agent), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})))
	return g
}

func (g *overGRPC) close() {
	if g.conn != nil {
		_ = g.conn.Close()
	}
}

// export is the method of opentelemetry/proto/collector/trace/v1.
const export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// retryable are the codes after which a request may be sent again, by the specification. Of RESOURCE_EXHAUSTED only those that say when.
var retryable = map[codes.Code]bool{codes.Canceled: true, codes.DeadlineExceeded: true, codes.Aborted: true, codes.OutOfRange: true, codes.Unavailable: true, codes.DataLoss: true}

func (g *overGRPC) post(ctx context.Context, body []byte) (again bool, after time.Duration, err error) {
	if g.failed != nil {
		return false, 0, g.failed
	}
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(ctx, g.headers), g.timeout)
	defer cancel()
	var answer []byte
	err = g.conn.Invoke(ctx, export, &body, &answer)
	if err == nil {
		return false, 0, nil
	}
	s := status.Convert(err)
	after, told := retryAfter(s)
	return retryable[s.Code()] || told, after, fmt.Errorf("the collector answers %s: %.200s", s.Code(), s.Message())
}

// Fields of google.rpc.RetryInfo and google.protobuf.Duration.
const (
	retryInfo                      = "type.googleapis.com/google.rpc.RetryInfo"
	retryDelay                     = 1
	durationSeconds, durationNanos = 1, 2
)

// retryAfter reads when a status says that a request may be sent again.
func retryAfter(s *status.Status) (after time.Duration, told bool) {
	for _, d := range s.Proto().GetDetails() {
		if d.GetTypeUrl() != retryInfo {
			continue
		}
		told = true
		eachField(d.GetValue(), func(n protowire.Number, value []byte, _ uint64) {
			if n != retryDelay {
				return
			}
			eachField(value, func(n protowire.Number, _ []byte, v uint64) {
				switch limit := uint64(longestWait); n {
				case durationSeconds:
					after += time.Duration(min(v, limit/uint64(time.Second))) * time.Second
				case durationNanos:
					after += time.Duration(min(v, limit))
				}
			})
		})
	}
	return min(after, longestWait), told
}

// eachField calls f for the fields of a message that are bytes or whole numbers. What is no message ends it.
func eachField(message []byte, f func(n protowire.Number, value []byte, v uint64)) {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return
		}
		var value []byte
		var v uint64
		message = message[size:]
		switch kind {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			v, size = protowire.ConsumeVarint(message)
		default:
			size = protowire.ConsumeFieldValue(n, kind, message)
		}
		if size < 0 {
			return
		}
		f(n, value, v)
		message = message[size:]
	}
}

// raw hands messages through that are encoded already.
type raw struct{}

// Name is that of the encoding, which requests carry.
func (raw) Name() string { return "proto" }

// Marshal takes a *[]byte.
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("otlp: a message is a %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

// Unmarshal fills a *[]byte.
func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("otlp: a message is a %T", v)
	}
	*b = data.Materialize()
	return nil
}
