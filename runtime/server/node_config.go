package server

import (
	"maps"
	"slices"
	"strconv"

	"llmc/runtime/ensemble"
	"llmc/runtime/server/inference"
)

// Platforms and back ends of models without plans, in configurations.
const (
	EnsemblePlatform = "ensemble"
	StepBackend      = "llmc_step"
	RemoteBackend    = "kserve"
)

// platform is what a model is in the words of Triton.
func (m *Model) platform() string {
	if _, wired := m.Node.(*ensemble.Graph); wired {
		return EnsemblePlatform
	}
	if m.Node != nil {
		return ""
	}
	return platform
}

// ensembleConfig is how an ensemble is wired, in the words of Triton's configuration.
type ensembleConfig struct {
	Steps []ensembleStep `json:"step"`
}

type ensembleStep struct {
	Model   string            `json:"model_name"`
	Version int64             `json:"model_version"`
	In      map[string]string `json:"input_map"`
	Out     map[string]string `json:"output_map"`
}

// ofNode makes the configuration that of a model with a Node. The size of batches is not in its dims.
func (config *modelConfig) ofNode(m *Model) {
	config.Platform, config.Backend, config.Batch = m.platform(), "", m.maxBatch()
	switch node := m.Node.(type) {
	case *ensemble.Graph:
		config.Ensemble = &ensembleConfig{}
		for _, s := range node.Steps {
			version := int64(-1)
			if n, err := strconv.ParseInt(s.Version, 10, 64); err == nil {
				version = n
			}
			config.Ensemble.Steps = append(config.Ensemble.Steps, ensembleStep{s.Model, version, s.In, s.Out})
		}
	case *ensemble.Remote:
		config.Backend = RemoteBackend
	default:
		config.Backend = StepBackend
	}
	if config.Batch == 0 {
		return
	}
	for _, list := range [][]configTensor{config.Inputs, config.Outputs} {
		for i := range list {
			list[i].Dims = list[i].Dims[min(1, len(list[i].Dims)):]
		}
	}
}

func (c *ensembleConfig) message() *inference.ModelEnsembling {
	m := &inference.ModelEnsembling{}
	for _, s := range c.Steps {
		m.Step = append(m.Step, &inference.ModelEnsembling_Step{ModelName: s.Model, ModelVersion: s.Version, InputMap: maps.Clone(s.In), OutputMap: maps.Clone(s.Out)})
	}
	return m
}

// offerNodes makes models with a Node known to the server before they are offered, and refuses those that lack a model or do not fit one.
func (s *Server) offerNodes(versions []*Model) error {
	for _, m := range versions {
		if m.Node == nil || m.node.table != nil {
			continue
		}
		m.node.table, m.node.counts = s.models, s.config.Metrics.Inferences(m.Name)
		if slices.ContainsFunc(m.Node.Needs(), func(n ensemble.Need) bool { return n.Name == m.Name }) {
			return unavailable("the model %q needs itself", m.Name)
		}
		if err := m.Available(); err != nil {
			return err
		}
	}
	return nil
}
