package server

import (
	"context"

	"llmc/runtime/server/inference"
)

// grpcService is the Open Inference Protocol over gRPC: what kserve.go and repository.go answer over HTTP.
type grpcService struct {
	inference.UnimplementedGRPCInferenceServiceServer
	server *Server
}

// ServerLive tells whether every model is idle or makes progress.
func (g *grpcService) ServerLive(context.Context, *inference.ServerLiveRequest) (*inference.ServerLiveResponse, error) {
	return &inference.ServerLiveResponse{Live: g.server.stuck() == nil}, nil
}

// ServerReady tells whether requests are taken.
func (g *grpcService) ServerReady(context.Context, *inference.ServerReadyRequest) (*inference.ServerReadyResponse, error) {
	return &inference.ServerReadyResponse{Ready: !g.server.inflight.isDraining() && g.server.stuck() == nil}, nil
}

// ModelReady tells whether a model takes requests; of one that is not there it says no.
func (g *grpcService) ModelReady(_ context.Context, r *inference.ModelReadyRequest) (*inference.ModelReadyResponse, error) {
	m, err := g.server.models.version(r.Name, r.Version)
	return &inference.ModelReadyResponse{Ready: err == nil && g.server.modelReady(m) == nil}, nil
}

// ServerMetadata names the server and what it knows.
func (g *grpcService) ServerMetadata(context.Context, *inference.ServerMetadataRequest) (*inference.ServerMetadataResponse, error) {
	m := g.server.metadata()
	return &inference.ServerMetadataResponse{Name: m.Name, Version: m.Version, Extensions: m.Extensions}, nil
}

// ModelMetadata lists the tensors of a model.
func (g *grpcService) ModelMetadata(_ context.Context, r *inference.ModelMetadataRequest) (*inference.ModelMetadataResponse, error) {
	m, err := g.server.models.version(r.Name, r.Version)
	if err != nil {
		return nil, err
	}
	about := g.server.metadataOf(m)
	a := &inference.ModelMetadataResponse{Name: about.Name, Versions: about.Versions, Platform: about.Platform}
	for _, t := range about.Inputs {
		a.Inputs = append(a.Inputs, &inference.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Type, Shape: t.Shape})
	}
	for _, t := range about.Outputs {
		a.Outputs = append(a.Outputs, &inference.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Type, Shape: t.Shape})
	}
	return a, nil
}

// ModelConfig is a model in the words of Triton's configuration.
func (g *grpcService) ModelConfig(_ context.Context, r *inference.ModelConfigRequest) (*inference.ModelConfigResponse, error) {
	m, err := g.server.models.version(r.Name, r.Version)
	if err != nil {
		return nil, err
	}
	about := configOf(m)
	config := &inference.ModelConfig{
		Name: about.Name, Platform: about.Platform, Backend: about.Backend,
		ModelTransactionPolicy: &inference.ModelTransactionPolicy{Decoupled: about.Policy.Decoupled},
	}
	for _, t := range about.Inputs {
		config.Input = append(config.Input, &inference.ModelInput{Name: t.Name, DataType: dataType(t), Dims: t.Dims, Optional: t.Optional})
	}
	for _, t := range about.Outputs {
		config.Output = append(config.Output, &inference.ModelOutput{Name: t.Name, DataType: dataType(t), Dims: t.Dims})
	}
	config.MaxBatchSize = int32(about.Batch)
	if about.Ensemble != nil {
		config.SchedulingChoice = &inference.ModelConfig_EnsembleScheduling{EnsembleScheduling: about.Ensemble.message()}
	}
	return &inference.ModelConfigResponse{Config: config}, nil
}

func dataType(t configTensor) inference.DataType {
	return inference.DataType(inference.DataType_value[t.Type])
}

// ModelStatistics counts the inferences of models.
func (g *grpcService) ModelStatistics(_ context.Context, r *inference.ModelStatisticsRequest) (*inference.ModelStatisticsResponse, error) {
	list, err := g.server.statisticsOf(r.Name, r.Version)
	if err != nil {
		return nil, err
	}
	a := &inference.ModelStatisticsResponse{}
	for _, m := range list {
		a.ModelStats = append(a.ModelStats, &inference.ModelStatistics{
			Name: m.Name, Version: m.Version, LastInference: m.Last, InferenceCount: m.Inferences, ExecutionCount: m.Executions,
			InferenceStats: &inference.InferStatistics{
				Success: &inference.StatisticDuration{Count: m.Stats.Success.Count, Ns: m.Stats.Success.NS},
				Fail:    &inference.StatisticDuration{Count: m.Stats.Fail.Count, Ns: m.Stats.Fail.NS},
			},
		})
	}
	return a, nil
}

// RepositoryIndex lists the models.
func (g *grpcService) RepositoryIndex(_ context.Context, r *inference.RepositoryIndexRequest) (*inference.RepositoryIndexResponse, error) {
	a := &inference.RepositoryIndexResponse{}
	for _, e := range g.server.index(r.Ready) {
		a.Models = append(a.Models, &inference.RepositoryIndexResponse_ModelIndex{Name: e.Name, Version: e.Version, State: e.State, Reason: e.Reason})
	}
	return a, nil
}

// RepositoryModelLoad loads a model of the repository.
func (g *grpcService) RepositoryModelLoad(_ context.Context, r *inference.RepositoryModelLoadRequest) (*inference.RepositoryModelLoadResponse, error) {
	for name := range r.Parameters {
		if err := knownParameter(name, nil); err != nil {
			return nil, err
		}
	}
	return &inference.RepositoryModelLoadResponse{}, g.server.load(g.server.base, r.ModelName)
}

// RepositoryModelUnload withdraws a model of the repository.
func (g *grpcService) RepositoryModelUnload(_ context.Context, r *inference.RepositoryModelUnloadRequest) (*inference.RepositoryModelUnloadResponse, error) {
	dependents := false
	for name, value := range r.Parameters {
		if err := knownParameter(name, []string{unloadDependents}); err != nil {
			return nil, err
		}
		dependents = value.GetBoolParam()
	}
	return &inference.RepositoryModelUnloadResponse{}, g.server.unload(g.server.base, r.ModelName, dependents)
}
