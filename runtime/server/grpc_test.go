package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"llmc/runtime"
	"llmc/runtime/server/inference"
)

// startGRPC serves a test server over gRPC too, and returns a connection to it.
func startGRPC(t *testing.T, ts *testServer) *grpc.ClientConn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- ts.ServeGRPC(ln) }()
	security := insecure.NewCredentials()
	if ts.certificate != nil {
		security = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	}
	conn, err := grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(security))
	must(t, err)
	t.Cleanup(func() { // before the server's own, which then has nothing to wait for
		must(t, conn.Close())
		ts.stopGRPC()
		must(t, <-served)
	})
	return conn
}

// callContext bounds a call; with a key, it is sent.
func callContext(t *testing.T, key string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	if key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	return ctx
}

// textCall asks a model to go on with texts. Their bytes are raw, or typed contents.
func textCall(raw bool, texts ...string) *inference.ModelInferRequest {
	r := &inference.ModelInferRequest{ModelName: "tiny", Id: "7"}
	input := &inference.ModelInferRequest_InferInputTensor{Name: "text_input", Datatype: "BYTES", Shape: []int64{int64(len(texts)), 1}}
	limit := &inference.ModelInferRequest_InferInputTensor{Name: "max_tokens", Datatype: "INT32", Shape: []int64{1}}
	if raw {
		r.RawInputContents = [][]byte{(&outputTensor{texts: texts}).appendBinary(nil), {60, 0, 0, 0}}
	} else {
		input.Contents, limit.Contents = &inference.InferTensorContents{}, &inference.InferTensorContents{IntContents: []int32{60}}
		for _, text := range texts {
			input.Contents.BytesContents = append(input.Contents.BytesContents, []byte(text))
		}
	}
	r.Inputs = []*inference.ModelInferRequest_InferInputTensor{input, limit}
	return r
}

// textsOf returns the texts of an output of an answer.
func textsOf(t *testing.T, a *inference.ModelInferResponse, name string) (texts []string) {
	t.Helper()
	for i, o := range a.Outputs {
		for raw := a.RawOutputContents[i]; o.Name == name && len(raw) > 0; {
			n := int(raw[0]) | int(raw[1])<<8
			texts, raw = append(texts, string(raw[4:4+n])), raw[4+n:]
		}
	}
	return texts
}

func TestGRPCInfer(t *testing.T) {
	ts := echoServer(t)
	client := inference.NewGRPCInferenceServiceClient(startGRPC(t, ts))
	for _, raw := range []bool{true, false} {
		a, err := client.ModelInfer(callContext(t, ""), textCall(raw, "ab", "Grüße"))
		must(t, err)
		if got := textsOf(t, a, "text_output"); len(got) != 2 || got[0] != "ba" || a.Id != "7" || a.ModelVersion != "1" || a.Outputs[0].Shape[0] != 2 {
			t.Errorf("raw %v: %q of %v", raw, got, a)
		}
		if r := ts.backend.last(); r.MaxTokens != 60 {
			t.Errorf("%+v", r)
		}
	}
	one := textCall(true, "ab")
	one.Outputs = []*inference.ModelInferRequest_InferRequestedOutputTensor{{Name: "finish_reason"}}
	a, err := client.ModelInfer(callContext(t, ""), one)
	must(t, err)
	if got := textsOf(t, a, "finish_reason"); len(a.Outputs) != 1 || len(got) != 1 || got[0] != "stop" {
		t.Errorf("%q of %v", got, a)
	}
}

func TestGRPCRefusals(t *testing.T) {
	b := &fakeBackend{}
	ts := startServer(t, b, Config{Limits: Limits{BodyBytes: 64 << 10}})
	client := inference.NewGRPCInferenceServiceClient(startGRPC(t, ts))
	change := func(f func(*inference.ModelInferRequest)) *inference.ModelInferRequest {
		r := textCall(true, "ab")
		f(r)
		return r
	}
	for name, c := range map[string]struct {
		request *inference.ModelInferRequest
		code    codes.Code
		want    string
	}{
		"model":     {change(func(r *inference.ModelInferRequest) { r.ModelName = "../x" }), codes.NotFound, "does not exist"},
		"version":   {change(func(r *inference.ModelInferRequest) { r.ModelVersion = "2" }), codes.NotFound, "has no version"},
		"no name":   {change(func(r *inference.ModelInferRequest) { r.ModelName = "" }), codes.InvalidArgument, "model_name"},
		"no inputs": {change(func(r *inference.ModelInferRequest) { r.Inputs = nil }), codes.InvalidArgument, "inputs"},
		"raw":       {change(func(r *inference.ModelInferRequest) { r.RawInputContents = r.RawInputContents[:1] }), codes.InvalidArgument, "raw_input_contents"},
		"shape":     {change(func(r *inference.ModelInferRequest) { r.Inputs[0].Shape = []int64{65536, 65536, 65536} }), codes.InvalidArgument, "shape"},
		"negative":  {change(func(r *inference.ModelInferRequest) { r.Inputs[0].Shape = []int64{-1} }), codes.InvalidArgument, "shape"},
		"cut off":   {change(func(r *inference.ModelInferRequest) { r.RawInputContents[0] = []byte{255, 255, 255, 255, 1} }), codes.InvalidArgument, "cut off"},
		"unknown":   {change(func(r *inference.ModelInferRequest) { r.Inputs[1].Name = "beams" }), codes.InvalidArgument, "beams"},
		"type":      {change(func(r *inference.ModelInferRequest) { r.Inputs[1].Datatype = "INT5" }), codes.InvalidArgument, "INT5"},
		"large":     {textCall(true, strings.Repeat("x", 70<<10)), codes.ResourceExhausted, "larger than max"},
	} {
		_, err := client.ModelInfer(callContext(t, ""), c.request)
		if status.Code(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %v with %q", name, err, c.code, c.want)
		}
	}
	b.queue, b.running = 1, 1
	var trailer metadata.MD
	if _, err := client.ModelInfer(callContext(t, ""), textCall(true, "ab"), grpc.Trailer(&trailer)); status.Code(err) != codes.ResourceExhausted || len(trailer.Get("grpc-retry-pushback-ms")) != 1 {
		t.Errorf("%v with %v", err, trailer)
	}
}

func TestGRPCModels(t *testing.T) {
	ts := echoServer(t)
	conn := startGRPC(t, ts)
	client := inference.NewGRPCInferenceServiceClient(conn)
	ctx := callContext(t, "")
	_, err := client.ModelInfer(ctx, textCall(true, "ab"))
	must(t, err)
	about, err := client.ModelMetadata(ctx, &inference.ModelMetadataRequest{Name: "tiny"})
	must(t, err)
	config, err := client.ModelConfig(ctx, &inference.ModelConfigRequest{Name: "tiny", Version: "1"})
	must(t, err)
	counts, err := client.ModelStatistics(ctx, &inference.ModelStatisticsRequest{})
	must(t, err)
	index, err := client.RepositoryIndex(ctx, &inference.RepositoryIndexRequest{})
	must(t, err)
	ready, err := client.ModelReady(ctx, &inference.ModelReadyRequest{Name: "tiny"})
	must(t, err)
	absent, err := client.ModelReady(ctx, &inference.ModelReadyRequest{Name: "other"})
	must(t, err)
	stats := counts.ModelStats[0]
	if about.Inputs[0].Name != "text_input" || about.Versions[0] != "1" || config.Config.Input[0].DataType != inference.DataType_TYPE_STRING ||
		!config.Config.ModelTransactionPolicy.Decoupled || index.Models[0].State != Ready || !ready.Ready || absent.Ready ||
		stats.InferenceCount != 1 || stats.InferenceStats.Success.Count != 1 || stats.LastInference == 0 {
		t.Errorf("%v\n%v\n%v\n%v\n%v %v", about, config, counts, index, ready, absent)
	}
	if _, err := client.RepositoryModelLoad(ctx, &inference.RepositoryModelLoadRequest{ModelName: "tiny"}); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "--model-repository") {
		t.Errorf("load without a repository: %v", err)
	}

	health := grpc_health_v1.NewHealthClient(conn)
	for service, want := range map[string]grpc_health_v1.HealthCheckResponse_ServingStatus{
		"": grpc_health_v1.HealthCheckResponse_SERVING, "inference.GRPCInferenceService": grpc_health_v1.HealthCheckResponse_SERVING, "tiny": grpc_health_v1.HealthCheckResponse_SERVING,
	} {
		if a, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service}); err != nil || a.Status != want {
			t.Errorf("%q: %v %v", service, a, err)
		}
	}
	if _, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "other"}); status.Code(err) != codes.NotFound {
		t.Errorf("%v", err)
	}
	ts.backend.unwell.Store(errors.New("stuck"))
	if a, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil || a.Status != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("%v %v", a, err)
	}
	if a, err := client.ServerReady(ctx, &inference.ServerReadyRequest{}); err != nil || a.Ready {
		t.Errorf("%v %v", a, err)
	}

	reflection, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	must(t, err)
	must(t, reflection.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}}))
	services, err := reflection.Recv()
	must(t, err)
	if !strings.Contains(services.String(), "inference.GRPCInferenceService") {
		t.Errorf("%v", services)
	}
	must(t, reflection.CloseSend())
}

// A call without a key is refused before its message is read; probes need none.
func TestGRPCKeysAndTLS(t *testing.T) {
	keys, _, _ := loadTestKeys(t, "sk-one\tmax-concurrent=1\n")
	cert, key := writeCertificate(t, "one")
	b := &fakeBackend{}
	ts := startServer(t, b, Config{Keys: keys, CertFile: cert, KeyFile: key})
	conn := startGRPC(t, ts)
	client := inference.NewGRPCInferenceServiceClient(conn)
	for _, key := range []string{"", "sk-two"} {
		if _, err := client.ModelInfer(callContext(t, key), textCall(true, "ab")); status.Code(err) != codes.Unauthenticated {
			t.Errorf("key %q: %v", key, err)
		}
	}
	if b.submitted() > 0 {
		t.Error("a request without a key was run")
	}
	if _, err := client.ModelInfer(callContext(t, "sk-one"), textCall(true, "ab")); err != nil {
		t.Error(err)
	}
	if _, err := client.ServerLive(callContext(t, ""), &inference.ServerLiveRequest{}); err != nil {
		t.Error(err)
	}
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(callContext(t, ""), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
	held, refusal := keys.enter(keys.of([]byte("Bearer sk-one")), ts.now(), nil)
	if refusal != nil {
		t.Fatal(refusal)
	}
	if _, err := client.ModelInfer(callContext(t, "sk-one"), textCall(true, "ab")); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("more calls than the key may have: %v", err)
	}
	held.leave(0)
}

// Shutdown waits for calls that run, refuses new ones, and ends streams that only wait.
func TestGRPCShutdown(t *testing.T) {
	b := &fakeBackend{gate: make(chan struct{}), reply: func(runtime.Request) string { return "ab" }}
	ts := startServer(t, b, Config{})
	client := inference.NewGRPCInferenceServiceClient(startGRPC(t, ts))
	idle, err := client.ModelStreamInfer(callContext(t, ""))
	must(t, err)
	answered := make(chan error, 1)
	go func() {
		a, err := client.ModelInfer(callContext(t, ""), textCall(true, "x"))
		if err == nil && textsOf(t, a, "text_output")[0] != "ab" {
			err = fmt.Errorf("%v", a)
		}
		answered <- err
	}()
	give(t, b.gate, 1)
	down := make(chan error, 1)
	go func() { down <- ts.Shutdown(context.Background()) }()
	eventually(t, "draining", ts.inflight.isDraining)
	if _, err := client.ModelInfer(callContext(t, ""), textCall(true, "y")); status.Code(err) != codes.Unavailable {
		t.Errorf("a call while draining: %v", err)
	}
	give(t, b.gate, 2)
	must(t, <-answered)
	must(t, <-down)
	if _, err := idle.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream ended with %v", err)
	}
}

// FuzzCall: no message makes the server fail.
func FuzzCall(f *testing.F) {
	f.Add("text_input", "BYTES", int64(1), []byte("\x01\x00\x00\x00x"), true)
	f.Add("max_tokens", "INT32", int64(1), []byte{1, 0, 0, 0}, false)
	s, err := New(Config{Models: []Model{fakeModel("tiny", &fakeBackend{})}})
	must(f, err)
	f.Fuzz(func(t *testing.T, name, datatype string, size int64, data []byte, raw bool) {
		r := &inference.ModelInferRequest{ModelName: "tiny", Inputs: []*inference.ModelInferRequest_InferInputTensor{
			{Name: name, Datatype: datatype, Shape: []int64{size}, Contents: &inference.InferTensorContents{BytesContents: [][]byte{data}}}, nil,
		}}
		if r.Inputs = r.Inputs[:1]; raw {
			r.RawInputContents = [][]byte{data}
		}
		in, refusal := s.readCall(r)
		if refusal != nil {
			return
		}
		if n := int64(len(in.inputs[0].elements)); n != size {
			t.Fatalf("%d elements of %d", n, size)
		}
		if q, err := s.inferGeneration(in, true); err == nil && len(q.prompts) == 0 {
			t.Fatal("no prompt")
		}
	})
}
