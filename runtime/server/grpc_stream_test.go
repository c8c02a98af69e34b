package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"llmc/runtime/server/inference"
)

// A call ends with its deadline and with its client, and so does what it asked for.
func TestGRPCCallsEnd(t *testing.T) {
	b := &fakeBackend{endless: true}
	ts := startServer(t, b, Config{})
	client := inference.NewGRPCInferenceServiceClient(startGRPC(t, ts))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if _, err := client.ModelInfer(ctx, textCall(true, "x")); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v", err)
	}
	eventually(t, "the end of what missed its deadline", b.idle)
	ctx, cancel = context.WithCancel(context.Background())
	stream, err := client.ModelStreamInfer(ctx)
	must(t, err)
	call := textCall(true, "x")
	call.Inputs[1] = &inference.ModelInferRequest_InferInputTensor{Name: "stream", Datatype: "BOOL", Shape: []int64{1}}
	call.RawInputContents[1] = []byte{1}
	must(t, stream.Send(call))
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	eventually(t, "the end of what nobody waits for", b.idle)
}

// A client that reads nothing holds a generation no longer than a write may take.
func TestGRPCClientThatDoesNotRead(t *testing.T) {
	b := &fakeBackend{endless: true}
	ts := startServer(t, b, Config{Limits: Limits{WriteTimeout: 100 * time.Millisecond}})
	client := inference.NewGRPCInferenceServiceClient(startGRPC(t, ts))
	for i, more := range []bool{true, false} { // requests that might follow
		stream, err := client.ModelStreamInfer(callContext(t, ""))
		must(t, err)
		call := textCall(true, "x")
		call.Inputs[1] = &inference.ModelInferRequest_InferInputTensor{Name: "stream", Datatype: "BOOL", Shape: []int64{1}}
		call.RawInputContents[1] = []byte{1}
		must(t, stream.Send(call))
		if !more {
			must(t, stream.CloseSend())
		}
		eventually(t, "the request", func() bool { return b.submitted() == i+1 })
		eventually(t, "the end of a generation that nobody reads", b.idle)
		for err = nil; err == nil; _, err = stream.Recv() {
		}
		if status.Code(err) != codes.Canceled {
			t.Errorf("the stream ended with %v", err)
		}
	}
}

func TestGRPCStream(t *testing.T) {
	ts := echoServer(t)
	client := inference.NewGRPCInferenceServiceClient(startGRPC(t, ts))
	stream, err := client.ModelStreamInfer(callContext(t, ""))
	must(t, err)
	const calls = 100 // more than are computed at a time
	for i := range calls {
		r := textCall(true, fmt.Sprint("abc", i))
		r.Id = fmt.Sprint(i)
		r.Inputs = append(r.Inputs, &inference.ModelInferRequest_InferInputTensor{Name: "stream", Datatype: "BOOL", Shape: []int64{1}})
		r.RawInputContents = append(r.RawInputContents, []byte{byte(i % 2)})
		if i == 50 {
			r.Inputs[0].Name = "nothing"
		}
		if i == 51 {
			r.Parameters = map[string]*inference.InferParameter{emptyFinalResponse: {ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: true}}}
		}
		must(t, stream.Send(r))
	}
	must(t, stream.CloseSend())
	texts, finals, failures, parts := map[string]string{}, map[string]int{}, map[string]string{}, map[string]int{}
	for {
		a, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		id := a.InferResponse.Id
		if a.ErrorMessage != "" {
			failures[id] = a.ErrorMessage
		}
		parts[id]++
		for _, text := range textsOf(t, a.InferResponse, "text_output") {
			texts[id] += text
		}
		if a.InferResponse.Parameters[finalResponse].GetBoolParam() {
			finals[id]++
		}
	}
	for i := range calls {
		id, want := fmt.Sprint(i), reversed(fmt.Sprint("abc", i))
		if i == 50 {
			want = ""
		}
		if texts[id] != want || finals[id] != 1 || i%2 == 1 && parts[id] < 2 || i%2 == 0 && i != 50 && parts[id] != 1 {
			t.Errorf("call %d: %q in %d parts, %d final; want %q", i, texts[id], parts[id], finals[id], want)
		}
	}
	if len(failures) != 1 || !strings.Contains(failures["50"], "nothing") {
		t.Errorf("failures %v", failures)
	}
}

func reversed(text string) string {
	b := []byte(text)
	for i := range len(b) / 2 {
		b[i], b[len(b)-1-i] = b[len(b)-1-i], b[i]
	}
	return string(b)
}
