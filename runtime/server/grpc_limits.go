package server

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// callLimits bound what calls of gRPC hold, of all connections together. Left alone, a connection may have grpcStreams calls whose message never comes.
type callLimits struct {
	most     int64
	body     time.Duration   // for the message of a call that has one alone
	streamed map[string]bool // methods whose calls have any number of messages
	open     atomic.Int64
}

func newCallLimits(limits Limits, g *grpc.Server) *callLimits {
	c := &callLimits{most: int64(limits.Connections), body: limits.BodyTimeout, streamed: map[string]bool{}}
	for name, service := range g.GetServiceInfo() {
		for _, m := range service.Methods {
			c.streamed["/"+name+"/"+m.Name] = m.IsClientStream || m.IsServerStream
		}
	}
	return c
}

// messageTimer is the context's key of what ends a call whose message does not come in time.
type messageTimer struct{}

// admit counts a call until its context ends. Probes, which hold nothing, are taken however many calls there are.
func (c *callLimits) admit(ctx context.Context, method string) (context.Context, error) {
	streamed := c.streamed[method]
	counted := streamed || !openMethods[method]
	if counted && c.open.Add(1) > c.most {
		c.open.Add(-1)
		return nil, status.Errorf(codes.ResourceExhausted, "%d calls are open, as many as may be: try again later", c.most)
	}
	var timer *time.Timer
	if !streamed {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		timer = time.AfterFunc(c.body, cancel)
		ctx = context.WithValue(ctx, messageTimer{}, timer)
	}
	context.AfterFunc(ctx, func() {
		if timer != nil {
			timer.Stop()
		}
		if counted {
			c.open.Add(-1)
		}
	})
	return ctx, nil
}

// messageCame says that the message of a call is there.
func messageCame(ctx context.Context) {
	if t, ok := ctx.Value(messageTimer{}).(*time.Timer); ok {
		t.Stop()
	}
}
