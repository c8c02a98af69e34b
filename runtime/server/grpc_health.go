package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"llmc/runtime/server/inference"
)

// grpcHealth is the health service of gRPC. "" and the inference service are the server, every other name is a model.
type grpcHealth struct {
	grpc_health_v1.UnimplementedHealthServer
	server *Server
}

// watchEvery is how often a watched state is looked at.
const watchEvery = time.Second

func (h *grpcHealth) state(service string) grpc_health_v1.HealthCheckResponse_ServingStatus {
	if service == "" || service == inference.GRPCInferenceService_ServiceDesc.ServiceName {
		return servingIf(!h.server.inflight.isDraining() && h.server.stuck() == nil)
	}
	m, err := h.server.models.find(service)
	if err != nil {
		return grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN
	}
	return servingIf(h.server.modelReady(m) == nil)
}

func servingIf(well bool) grpc_health_v1.HealthCheckResponse_ServingStatus {
	if well {
		return grpc_health_v1.HealthCheckResponse_SERVING
	}
	return grpc_health_v1.HealthCheckResponse_NOT_SERVING
}

// Check implements grpc.health.v1.
func (h *grpcHealth) Check(_ context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	state := h.state(r.Service)
	if state == grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, status.Errorf(codes.NotFound, "no model is called %.200q", r.Service)
	}
	return &grpc_health_v1.HealthCheckResponse{Status: state}, nil
}

// Watch implements grpc.health.v1: it tells the state, and every change of it.
func (h *grpcHealth) Watch(r *grpc_health_v1.HealthCheckRequest, out grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	told := grpc_health_v1.HealthCheckResponse_ServingStatus(-1)
	for {
		if state := h.state(r.Service); state != told {
			if err := out.Send(&grpc_health_v1.HealthCheckResponse{Status: state}); err != nil {
				return err
			}
			told = state
		}
		select {
		case <-tick.C:
		case <-out.Context().Done():
			return status.FromContextError(out.Context().Err()).Err()
		case <-h.server.base.Done():
			return status.Error(codes.Unavailable, errStopping.Error())
		}
	}
}
