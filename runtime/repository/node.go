package repository

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"llmc/internal/cli"
	"llmc/runtime/ensemble"
	"llmc/runtime/server"
	"llmc/runtime/server/inference"
)

// nodeKinds are the kinds of models without plans, by platform or back end.
var nodeKinds = map[string]func(c *Config, m *inference.ModelConfig, model string) error{
	server.EnsemblePlatform: takeEnsemble, server.StepBackend: takeStep, server.RemoteBackend: takeRemote,
}

func kindOf(m *inference.ModelConfig) string {
	if m.Backend != "" {
		return m.Backend
	}
	return m.Platform
}

// onlyTheirs refuses what models without plans do not have.
func onlyTheirs(m *inference.ModelConfig) error {
	switch {
	case m.DefaultModelFilename != "":
		return errors.New("default_model_filename: the model has no file")
	case len(m.InstanceGroup) > 0:
		return errors.New("instance_group: the model has no instances; requests are computed as they come")
	case m.GetDynamicBatching() != nil:
		return errors.New("dynamic_batching: belongs to the models that the steps are")
	case m.MaxBatchSize < 0:
		return fmt.Errorf("max_batch_size is %d: must not be below 0", m.MaxBatchSize)
	}
	return nil
}

// specs are the tensors of a configuration, with the size of batches before the others where there are batches.
func specs(m *inference.ModelConfig) (inputs, outputs []ensemble.Spec) {
	dims := func(given []int64) []int64 {
		if m.MaxBatchSize > 0 {
			return append([]int64{-1}, given...)
		}
		return append([]int64{}, given...)
	}
	for _, t := range m.Input {
		inputs = append(inputs, ensemble.Spec{Name: t.Name, Type: datatype(t.DataType), Dims: dims(t.Dims), Optional: t.Optional})
	}
	for _, t := range m.Output {
		outputs = append(outputs, ensemble.Spec{Name: t.Name, Type: datatype(t.DataType), Dims: dims(t.Dims)})
	}
	return inputs, outputs
}

// datatype is a type of configurations in the words of requests.
func datatype(t inference.DataType) string {
	switch t {
	case inference.DataType_TYPE_STRING:
		return "BYTES"
	case inference.DataType_TYPE_INVALID:
		return ""
	}
	return strings.TrimPrefix(t.String(), "TYPE_")
}

// values are the parameters of a configuration.
func values(m *inference.ModelConfig) map[string]string {
	all := map[string]string{}
	for name, p := range m.Parameters {
		all[name] = p.GetStringValue()
	}
	return all
}

// takeEnsemble takes an ensemble. Parameter max_tensor_bytes bounds the tensors of a request.
func takeEnsemble(c *Config, m *inference.ModelConfig, model string) error {
	if err := onlyTheirs(m); err != nil {
		return err
	}
	g := ensemble.Graph{Name: model, MaxBatch: int(m.MaxBatchSize), Decoupled: m.GetModelTransactionPolicy().GetDecoupled()}
	g.Inputs, g.Outputs = specs(m)
	for name, value := range values(m) {
		var size cli.Bytes
		if name != "max_tensor_bytes" {
			return fmt.Errorf("parameter %.64q is not known of ensembles; max_tensor_bytes is", name)
		}
		if err := size.Set(value); err != nil || size <= 0 {
			return fmt.Errorf("parameter %s: %.32q is not a size", name, value)
		}
		g.MaxBytes = int64(size)
	}
	for i, s := range m.GetEnsembleScheduling().GetStep() {
		version := ""
		if s.ModelVersion > 0 {
			version = strconv.FormatInt(s.ModelVersion, 10)
		} else if s.ModelVersion < -1 {
			return fmt.Errorf("step %d: model_version is %d: a version, or -1 for the highest", i, s.ModelVersion)
		}
		g.Steps = append(g.Steps, ensemble.Step{Model: s.ModelName, Version: version, In: s.InputMap, Out: s.OutputMap})
	}
	wired, err := ensemble.NewGraph(g)
	if err != nil {
		return err
	}
	c.node, c.needs = func() (server.Node, error) { return wired, nil }, wired.Needs()
	return nil
}

// takeStep takes a built-in step; parameter step names it, the others are its own.
func takeStep(c *Config, m *inference.ModelConfig, _ string) error {
	if err := onlyTheirs(m); err != nil {
		return err
	}
	if m.MaxBatchSize > 0 {
		return errors.New("max_batch_size: built-in steps have no batches; leave it out")
	}
	parameters := values(m)
	name := parameters["step"]
	delete(parameters, "step")
	inputs, outputs := specs(m)
	step, err := ensemble.NewBuiltin(name, parameters, inputs, outputs)
	if err != nil {
		return err
	}
	c.node, c.needs = func() (server.Node, error) { return step, nil }, step.Needs()
	return nil
}

// remoteParameters are those of models of other servers.
var remoteParameters = map[string]func(o *ensemble.RemoteOptions, value string) error{
	"url":        func(o *ensemble.RemoteOptions, value string) error { o.URL = value; return nil },
	"model":      func(o *ensemble.RemoteOptions, value string) error { o.Model = value; return nil },
	"version":    func(o *ensemble.RemoteOptions, value string) error { o.Version = value; return nil },
	"ca_file":    func(o *ensemble.RemoteOptions, value string) error { o.Files.CA = value; return nil },
	"cert_file":  func(o *ensemble.RemoteOptions, value string) error { o.Files.Cert = value; return nil },
	"key_file":   func(o *ensemble.RemoteOptions, value string) error { o.Files.Key = value; return nil },
	"token_file": func(o *ensemble.RemoteOptions, value string) error { o.Files.Token = value; return nil },
	"timeout_ms": func(o *ensemble.RemoteOptions, value string) error {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 1 || n > ensemble.LongestTimeout.Milliseconds() {
			return fmt.Errorf("%.32q is no number of milliseconds from 1 to %d", value, ensemble.LongestTimeout.Milliseconds())
		}
		o.Timeout = time.Duration(n) * time.Millisecond
		return nil
	},
	"max_answer_bytes": func(o *ensemble.RemoteOptions, value string) error {
		var size cli.Bytes
		if err := size.Set(value); err != nil || size <= 0 || size > math.MaxInt32 {
			return fmt.Errorf("%.32q is not a size below 2G", value)
		}
		o.MaxBytes = int64(size)
		return nil
	},
	"data": func(o *ensemble.RemoteOptions, value string) error {
		if o.JSON = value == "json"; !o.JSON && value != "binary" {
			return fmt.Errorf("%.32q is neither binary nor json", value)
		}
		return nil
	},
}

// takeRemote takes a model of another server.
func takeRemote(c *Config, m *inference.ModelConfig, model string) error {
	if err := onlyTheirs(m); err != nil {
		return err
	}
	o := ensemble.RemoteOptions{Model: model, MaxBatch: int(m.MaxBatchSize)}
	o.Inputs, o.Outputs = specs(m)
	for name, value := range values(m) {
		set := remoteParameters[name]
		if set == nil {
			return fmt.Errorf("parameter %.64q is not known here; %s are", name, strings.Join(slices.Sorted(maps.Keys(remoteParameters)), ", "))
		}
		if err := set(&o, value); err != nil {
			return fmt.Errorf("parameter %s: %w", name, err)
		}
	}
	if err := o.Check(); err != nil {
		return fmt.Errorf("backend kserve: %w", err)
	}
	c.node = func() (server.Node, error) { return ensemble.NewRemote(o) }
	return nil
}
