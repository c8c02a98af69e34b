package server

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"llmc/runtime/server/inference"
)

// Calls over gRPC have a line each, those of a stream too, whatever becomes of them.
func TestRequestLogOfCalls(t *testing.T) {
	keys, _, _ := loadTestKeys(t, "sk-one\tname=team-a\n")
	ts, file, _ := loggedServer(t, Config{Keys: keys})
	client := inference.NewGRPCInferenceServiceClient(startGRPC(t, ts))
	if _, err := client.ModelInfer(callContext(t, "sk-one"), textCall(true, "ab")); err != nil {
		t.Fatal(err)
	}
	line := awaitLine(t, file, 0)
	if line["key"] != "team-a" || line["api"] != inference.GRPCInferenceService_ModelInfer_FullMethodName || line["status"] != 200. || line["output_tokens"] != 60. || line["error"] != nil {
		t.Errorf("a call: %v", line)
	}
	wrong := textCall(true, "ab")
	wrong.ModelName = "other"
	if _, err := client.ModelInfer(callContext(t, "sk-one"), wrong); status.Code(err) != codes.NotFound {
		t.Errorf("a model that is not there: %v", err)
	}
	if line := awaitLine(t, file, 1); line["error"] != "model_not_found" || line["status"] != 404. {
		t.Errorf("a model that is not there: %v", line)
	}
	streamed := textCall(false, "ab")
	streamed.Inputs = append(streamed.Inputs, &inference.ModelInferRequest_InferInputTensor{
		Name: "stream", Datatype: "BOOL", Shape: []int64{1}, Contents: &inference.InferTensorContents{BoolContents: []bool{true}},
	})
	stream, err := client.ModelStreamInfer(callContext(t, "sk-one"))
	must(t, err)
	must(t, stream.Send(streamed))
	must(t, stream.CloseSend())
	for err = nil; err == nil; {
		_, err = stream.Recv()
	}
	line = awaitLine(t, file, 2)
	if line["api"] != inference.GRPCInferenceService_ModelStreamInfer_FullMethodName || line["stream"] != true || line["status"] != 200. || line["output_tokens"] != 60. {
		t.Errorf("a streamed call: %v", line)
	}
}
