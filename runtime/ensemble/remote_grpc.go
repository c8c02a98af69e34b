package ensemble

import (
	"context"
	"crypto/tls"
	"net/url"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"llmc/runtime/server/inference"
)

// overGRPC asks by ModelInfer.
type overGRPC struct {
	conn   *grpc.ClientConn
	client inference.GRPCInferenceServiceClient
}

func openGRPC(address *url.URL, o *RemoteOptions, security *tls.Config) (protocol, error) {
	transport := insecure.NewCredentials()
	if security != nil {
		transport = credentials.NewTLS(security)
	}
	conn, err := grpc.NewClient("dns:///"+address.Host, grpc.WithTransportCredentials(transport), grpc.WithNoProxy(), grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(int(o.MaxBytes)), grpc.MaxCallSendMsgSize(1<<31-1)))
	if err != nil {
		return nil, err
	}
	return &overGRPC{conn, inference.NewGRPCInferenceServiceClient(conn)}, nil
}

func (p *overGRPC) close() error { return p.conn.Close() }

func (p *overGRPC) infer(ctx context.Context, r *Remote, inputs Tensors) (Tensors, error) {
	o := &r.options
	request := &inference.ModelInferRequest{ModelName: o.Model, ModelVersion: o.Version}
	for _, spec := range o.Inputs {
		t := inputs[spec.Name]
		if t == nil {
			continue
		}
		request.Inputs = append(request.Inputs, &inference.ModelInferRequest_InferInputTensor{Name: spec.Name, Datatype: t.Type, Shape: t.Shape})
		request.RawInputContents = append(request.RawInputContents, t.AppendRaw([]byte{}))
	}
	for _, spec := range o.Outputs {
		request.Outputs = append(request.Outputs, &inference.ModelInferRequest_InferRequestedOutputTensor{Name: spec.Name})
	}
	if r.token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+r.token)
	}
	answer, err := p.client.ModelInfer(ctx, request)
	if err != nil {
		return nil, grpcError(err)
	}
	raw := answer.RawOutputContents
	if len(raw) > 0 && len(raw) != len(answer.Outputs) {
		return nil, malformed("%d raw_output_contents of %d outputs", len(raw), len(answer.Outputs))
	}
	outputs := Tensors{}
	for i, output := range answer.Outputs {
		var t *Tensor
		if len(raw) > 0 {
			t, err = FromRaw(output.GetDatatype(), output.GetShape(), raw[i])
		} else {
			t, err = fromContents(output.GetDatatype(), output.GetShape(), output.GetContents())
		}
		if err != nil {
			return nil, malformed("output %q: %v", output.GetName(), err)
		}
		outputs[output.GetName()] = t
	}
	return outputs, nil
}

// grpcStatuses are what codes are told as; others are faults of the other server.
var grpcStatuses = map[codes.Code]int{
	codes.InvalidArgument: 400, codes.OutOfRange: 400, codes.FailedPrecondition: 400, codes.ResourceExhausted: 503, codes.Unavailable: 503, codes.DeadlineExceeded: 504,
}

func grpcError(err error) error {
	s := status.Convert(err)
	e := &RemoteError{Status: 502, Err: err}
	if known := grpcStatuses[s.Code()]; known != 0 {
		e.Status = known
	}
	e.Message = "the other server refused: " + clip(s.Message())
	if s.Code() == codes.Unavailable || s.Code() == codes.Unknown || s.Code() == codes.Internal { // words of our own client can hold addresses
		e.Message = "the other server can not be reached, or failed"
	}
	return e
}

// fromContents reads typed contents.
func fromContents(datatype string, shape []int64, c *inference.InferTensorContents) (*Tensor, error) {
	if datatype == "BYTES" {
		var raw []byte
		t := &Tensor{Type: datatype, Shape: slices.Clone(shape)}
		for _, text := range c.GetBytesContents() {
			t.Texts = append(t.Texts, string(text))
		}
		raw = t.AppendRaw(raw)
		return FromRaw(datatype, shape, raw)
	}
	write, known := elementWriters[datatype]
	if !known {
		return nil, &RemoteError{502, "datatype " + clip(datatype) + " has no typed contents", nil}
	}
	return FromRaw(datatype, shape, write(c))
}
