package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"llmc/runtime/server/inference"
)

// Limits of a gRPC connection.
const (
	grpcStreams = 1024             // calls at a time
	grpcPing    = 10 * time.Second // how often a client may ask whether the server is there
	grpcStop    = 2 * time.Second  // for answers on their way when the server stops
)

// openMethods need no key: probes.
var openMethods = map[string]bool{
	inference.GRPCInferenceService_ServerLive_FullMethodName: true, inference.GRPCInferenceService_ServerReady_FullMethodName: true,
	grpc_health_v1.Health_Check_FullMethodName: true, grpc_health_v1.Health_Watch_FullMethodName: true,
}

// ServeGRPC answers gRPC calls of ln until Shutdown: service inference.GRPCInferenceService, grpc.health.v1.Health and reflection. It is called once at most.
func (s *Server) ServeGRPC(ln net.Listener) error {
	l := newListener(ln, s.config.Limits.WriteTimeout, &s.room)
	l.most = s.config.Limits.Connections
	g := s.newGRPC()
	s.mu.Lock()
	if s.stopped || s.grpc != nil {
		s.mu.Unlock()
		return errors.Join(errStopping, ln.Close())
	}
	s.grpc = g
	s.mu.Unlock()
	return g.Serve(l)
}

func (s *Server) newGRPC() *grpc.Server {
	limits := s.config.Limits
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(limits.BodyBytes), grpc.MaxHeaderListSize(uint32(limits.HeaderBytes)), grpc.MaxConcurrentStreams(grpcStreams),
		grpc.ConnectionTimeout(limits.HeaderTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: limits.IdleTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: grpcPing, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(s.aroundCall), grpc.StreamInterceptor(s.aroundStream),
	}
	if s.certificate != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(&tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate.get(), nil },
		})))
	}
	var limit *callLimits
	options = append(options, grpc.InTapHandle(func(ctx context.Context, call *tap.Info) (context.Context, error) {
		if err := s.admitCall(call); err != nil {
			return nil, err
		}
		return limit.admit(ctx, call.FullMethodName)
	}))
	g := grpc.NewServer(options...)
	inference.RegisterGRPCInferenceServiceServer(g, &grpcService{server: s})
	grpc_health_v1.RegisterHealthServer(g, &grpcHealth{server: s})
	reflection.Register(g)
	limit = newCallLimits(limits, g)
	return g
}

// stopGRPC ends the calls, after those that run have been answered or cancelled.
func (s *Server) stopGRPC() {
	s.mu.Lock()
	g := s.grpc
	s.mu.Unlock()
	if g == nil {
		return
	}
	hurry := time.AfterFunc(grpcStop, g.Stop)
	defer hurry.Stop()
	g.GracefulStop()
}

// admitCall refuses calls without a key before anything of their message is read.
func (s *Server) admitCall(call *tap.Info) error {
	if openMethods[call.FullMethodName] || s.config.Keys == nil || s.config.Keys.accept(authorizationOf(call.Header)) {
		return nil
	}
	return status.Error(codes.Unauthenticated, errKey.message)
}

func authorizationOf(md metadata.MD) []byte { return []byte(strings.Join(md.Get("authorization"), "")) }

// overGRPC is the caller of a call: it waits until the call's deadline or its cancellation.
func (s *Server) overGRPC(ctx context.Context, method string) caller {
	md, _ := metadata.FromIncomingContext(ctx)
	return caller{
		authorization: authorizationOf(md),
		account:       s.callAccount(md, method),
		timeouts: func() (t timeouts, _ error) {
			if deadline, ok := ctx.Deadline(); ok {
				t.whole = max(1, time.Until(deadline))
			}
			return t, nil
		},
		watch: func(gone func(error)) func() {
			stop := context.AfterFunc(ctx, func() {
				if errors.Is(ctx.Err(), context.DeadlineExceeded) {
					gone(context.DeadlineExceeded)
				} else {
					gone(errClientGone)
				}
			})
			return func() { stop() }
		},
		left: func() bool { return errors.Is(ctx.Err(), context.Canceled) },
	}
}

func (s *Server) aroundCall(ctx context.Context, request any, call *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
	messageCame(ctx)
	err = s.around(ctx, call.FullMethod, func() error {
		answer, err = handle(ctx, request)
		return err
	})
	return answer, err
}

func (s *Server) aroundStream(service any, stream grpc.ServerStream, call *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	return s.around(stream.Context(), call.FullMethod, func() error { return handle(service, stream) })
}

// around is what all calls have in common. A panic is our fault and ends this call alone.
func (s *Server) around(ctx context.Context, method string, call func() error) error {
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("panic in a call", "method", method, "panic", p, "stack", string(debug.Stack()))
				err = errors.New("panic")
			}
		}()
		return call()
	}()
	if _, ours := status.FromError(err); err != nil && !ours {
		err = s.asStatus(ctx, err)
	}
	if s.config.Metrics != nil {
		s.config.Metrics.Called(method, status.Code(err).String())
	}
	return err
}

// grpcCodes are the codes of what clients are told with a status of HTTP.
var grpcCodes = map[int]codes.Code{
	400: codes.InvalidArgument, 401: codes.Unauthenticated, 403: codes.PermissionDenied, 404: codes.NotFound, 413: codes.ResourceExhausted,
	422: codes.InvalidArgument, 429: codes.ResourceExhausted, statusClientGone: codes.Canceled, 503: codes.Unavailable,
}

// asStatus words an error for gRPC; when to try again is told as clients of gRPC look for it.
func (s *Server) asStatus(ctx context.Context, err error) error {
	e := s.asAPIError(err)
	code, known := grpcCodes[e.status]
	switch {
	case e.code == "deadline_exceeded":
		code = codes.DeadlineExceeded
	case !known:
		code = codes.Internal
	}
	if e.retry > 0 {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", strconv.FormatInt(e.retry.Milliseconds(), 10)))
	}
	return status.Error(code, fmt.Sprintf("%.2000s", e.message))
}
