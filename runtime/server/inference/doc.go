// Package inference owns the messages of gRPC: service GRPCInferenceService of the Open Inference Protocol with Triton's extensions, and Triton's model
// configuration, which files config.pbtxt hold as well. The .proto files have the public names and field numbers of what this server knows; everything else is
// an unknown field, which a configuration is refused for.
//
// It holds no behaviour.
package inference

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative service.proto config.proto
