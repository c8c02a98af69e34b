package server

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"llmc/runtime/server/inference"
)

// ModelInfer answers a call whole.
func (g *grpcService) ModelInfer(ctx context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	var answer *inference.ModelInferResponse
	err := g.server.inferCall(ctx, r, false, func(a *inference.ModelInferResponse, _ bool) error {
		answer = a
		return nil
	})
	return answer, err
}

// giving takes an answer, or a part of one, and whether it is the last.
type giving func(a *inference.ModelInferResponse, last bool) error

// inferCall computes the inference of a call: give gets its answer, where a stream is asked for and may be, in parts.
func (s *Server) inferCall(ctx context.Context, r *inference.ModelInferRequest, streams bool, give giving) error {
	method := inference.GRPCInferenceService_ModelInfer_FullMethodName
	if streams {
		method = inference.GRPCInferenceService_ModelStreamInfer_FullMethodName
	}
	from := s.overGRPC(ctx, method)
	return from.account.close(s.inferFor(from, r, streams, give))
}

func (s *Server) inferFor(from caller, r *inference.ModelInferRequest, streams bool, give giving) error {
	in, refusal := s.readCall(r)
	if refusal != nil {
		return refusal
	}
	m, err := in.find()
	if err != nil {
		return err
	}
	if m.Node != nil {
		return s.inferNodeCall(from, in, streams, give)
	}
	if m.Encoder != nil {
		var answer *inference.ModelInferResponse
		if err := s.inferEncoder(from, in, func(m *Model, o outputTensor) { answer = in.answerCall(m, o) }); err != nil {
			return err
		}
		return give(answer, true)
	}
	b, end, err := s.begin(from, func() (*request, error) { return s.inferGeneration(in, streams) })
	if err != nil {
		return err
	}
	defer end()
	if b.req.stream {
		from.account.answered(200)
		err := in.streamParts(b, give)
		if err != nil {
			from.account.fail(s.asAPIError(err))
		}
		return err
	}
	if err := b.gather(); err != nil {
		return err
	}
	return give(in.answerCall(b.req.model, b.outputs()...), true)
}

// streamParts gives the text of a generation as it comes. The last part says how it ended.
func (in *inferRequest) streamParts(b *batch, give giving) error {
	return b.parts(func(text string, c *choice) error {
		outputs := []outputTensor{{name: "text_output", datatype: "BYTES", shape: []int{1, 1}, texts: []string{text}}}
		if c.finish != "" {
			outputs = append(outputs, outputTensor{name: "finish_reason", datatype: "BYTES", shape: []int{1, 1}, texts: []string{string(c.finish)}})
		}
		return give(in.answerCall(b.req.model, outputs...), c.finish != "")
	})
}

// parts gives the text of a generation as it comes, the last part with how it ended.
func (b *batch) parts(give func(text string, c *choice) error) error {
	echoes := !b.req.excludeInput
	for !b.done() {
		arrivals, err := b.wait()
		if err != nil {
			return err
		}
		for _, a := range arrivals {
			p, err := b.take(a)
			if err != nil {
				return err
			}
			if echoes {
				p.text, echoes = a.choice.prompt.text+p.text, false
			}
			if p.text == "" && a.choice.finish == "" {
				continue
			}
			if err := give(p.text, a.choice); err != nil {
				return err
			}
		}
	}
	return nil
}

// Names of Triton's parameters that tell the last answer of a request in a stream.
const (
	finalResponse      = "triton_final_response"
	emptyFinalResponse = "triton_enable_empty_final_response"
)

// streamCalls is how many requests of one stream are computed at a time; the next are not read before.
const streamCalls = 64

// ModelStreamInfer answers the requests of a stream, each with one answer or, where it has stream, with parts. Those of different requests come as they are
// made, told apart by their ids. What is wrong with a request is told in its place; the stream goes on.
func (g *grpcService) ModelStreamInfer(stream grpc.BidiStreamingServer[inference.ModelInferRequest, inference.ModelStreamInferResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	calls := &callStream{server: g.server, stream: stream, places: make(chan struct{}, streamCalls), unread: make(chan struct{})}
	received := make(chan error, 1)
	go func() { received <- calls.receive(ctx) }() // ends with the stream, which ends when this function has returned
	select {
	case err := <-received:
		if errors.Is(err, io.EOF) { // there are no more requests; those that run are answered
			return calls.rest()
		}
		cancel()
		calls.close()
		return err
	case <-calls.unread: // what is being sent ends with the stream, and so do the requests: there is nothing to wait for
		return errUnread
	case <-g.server.base.Done():
		cancel()
		calls.close()
		return errStopping
	}
}

// errUnread ends a stream whose client does not read.
var errUnread = &apiError{status: statusClientGone, kind: kindRequest, code: "client_closed_request", message: "the client does not read the answers"}

// callStream is a stream of requests and answers.
type callStream struct {
	server *Server
	stream grpc.BidiStreamingServer[inference.ModelInferRequest, inference.ModelStreamInferResponse]
	places chan struct{}
	unread chan struct{} // closed when the client has not read an answer for as long as a write may take
	once   sync.Once

	mu      sync.Mutex // held while an answer is sent
	closed  bool       // no request begins any more
	running sync.WaitGroup
}

// close waits for the requests that run.
func (c *callStream) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.running.Wait()
}

// rest waits for the requests that run while the client reads their answers.
func (c *callStream) rest() error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.close()
	}()
	select {
	case <-ended:
		return nil
	case <-c.unread:
		return errUnread
	}
}

// receive begins the requests of the stream until it ends.
func (c *callStream) receive(ctx context.Context) error {
	for {
		r, err := c.stream.Recv()
		if err != nil {
			return err
		}
		select {
		case c.places <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return errStopping
		}
		c.running.Go(func() {
			defer func() { <-c.places }()
			c.answer(ctx, r)
		})
		c.mu.Unlock()
	}
}

// answer computes one request and tells what is wrong with it. Where an answer can not be sent, the stream has ended.
func (c *callStream) answer(ctx context.Context, r *inference.ModelInferRequest) {
	apart := r.Parameters[emptyFinalResponse].GetBoolParam()
	err := c.server.around(ctx, inference.GRPCInferenceService_ModelStreamInfer_FullMethodName+"/request", func() error {
		return c.server.inferCall(ctx, r, true, func(a *inference.ModelInferResponse, last bool) error {
			err := c.send("", a, last && !apart)
			if err == nil && last && apart {
				err = c.send("", &inference.ModelInferResponse{ModelName: a.ModelName, ModelVersion: a.ModelVersion, Id: r.Id}, true)
			}
			return err
		})
	})
	if err != nil {
		_ = c.send(status.Convert(err).Message(), &inference.ModelInferResponse{ModelName: r.ModelName, Id: r.Id}, true)
	}
}

func (c *callStream) send(failure string, a *inference.ModelInferResponse, last bool) error {
	a.Parameters = map[string]*inference.InferParameter{finalResponse: {ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: last}}}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer time.AfterFunc(c.server.config.Limits.WriteTimeout, func() { c.once.Do(func() { close(c.unread) }) }).Stop()
	return c.stream.Send(&inference.ModelStreamInferResponse{ErrorMessage: failure, InferResponse: a})
}
