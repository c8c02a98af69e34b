package repository

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/prototext"

	"llmc/internal/cli"
	"llmc/runtime/encode"
	"llmc/runtime/ensemble"
	"llmc/runtime/server"
	"llmc/runtime/server/inference"
)

// maxConfig bounds a configuration, in bytes.
const maxConfig = 64 << 10

// Config is what a model's config.pbtxt asks for. Zero values leave what the command line says.
type Config struct {
	MaxSequences  int           // max_batch_size
	MaxContext    int           // parameter max_context
	MaxStepTokens int           // parameter max_step_tokens
	KVBytes       int64         // parameter kv_memory
	QueueLimit    int           // dynamic_batching.default_queue_policy.max_queue_size
	QueueDelay    time.Duration // dynamic_batching.max_queue_delay_microseconds, of encoders
	Inputs        []string
	Outputs       []string

	// node makes what a model without a plan computes, and needs are the models that it is made of; nil: the model has a plan.
	node  func() (server.Node, error)
	needs []ensemble.Need

	file   string // of a version
	policy *inference.ModelVersionPolicy
}

// readConfig reads a configuration; without a file all is as usual. The stamp tells versions of the file apart.
func readConfig(path, model string) (c *Config, stamp string, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Config{file: planFile}, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if info.Size() > maxConfig {
		return nil, "", fmt.Errorf("%s: %d bytes, at most %d", path, info.Size(), maxConfig)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	c, err = parseConfig(text, model)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	return c, stampOf(info), nil
}

// parseConfig reads Triton's model configuration in the text form of protocol buffers. A field that would change what is answered and is not known here is an
// error that names it: the messages have no others.
func parseConfig(text []byte, model string) (*Config, error) {
	if len(text) > maxConfig {
		return nil, fmt.Errorf("%d bytes, at most %d", len(text), maxConfig)
	}
	m := &inference.ModelConfig{}
	if err := prototext.Unmarshal(text, m); err != nil {
		// The library writes either a plain or a no-break space behind its name, so that nobody relies on its text.
		reason := strings.TrimSpace(strings.ReplaceAll(strings.TrimPrefix(err.Error(), "proto:"), "\u00a0", " "))
		if strings.Contains(reason, "unknown field") {
			reason += ", which this server does not act on; remove it if the model answers the same without"
		}
		return nil, errors.New(reason)
	}
	c := &Config{file: planFile, policy: m.VersionPolicy}
	for _, take := range configRules {
		if err := take(c, m, model); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// configRules take in parts of a configuration, or refuse them.
var configRules = []func(c *Config, m *inference.ModelConfig, model string) error{
	takeName, takeFile, takeInstances, takeKind,
}

// takeKind takes in what depends on the kind of model.
func takeKind(c *Config, m *inference.ModelConfig, model string) error {
	if take := nodeKinds[kindOf(m)]; take != nil {
		return take(c, m, model)
	}
	for _, take := range []func(*Config, *inference.ModelConfig, string) error{takeBatching, takeTensors, takeParameters} {
		if err := take(c, m, model); err != nil {
			return err
		}
	}
	return nil
}

func takeName(_ *Config, m *inference.ModelConfig, model string) error {
	switch {
	case m.Name != "" && m.Name != model:
		return fmt.Errorf("name is %.200q, the directory is called %q: make them the same", m.Name, model)
	case m.Platform != "" && m.Platform != "llmc_plan" && m.Platform != server.EnsemblePlatform:
		return fmt.Errorf("platform %.64q: llmc_plan and ensemble are served; for models of other servers use backend kserve", m.Platform)
	case m.Backend != "" && m.Backend != "llmc" && nodeKinds[m.Backend] == nil:
		return fmt.Errorf("backend %.64q: llmc, llmc_step and kserve are served; for models of other servers use kserve", m.Backend)
	case m.GetEnsembleScheduling() != nil && m.Platform != server.EnsemblePlatform:
		return errors.New("ensemble_scheduling: needs platform \"ensemble\"")
	case m.Platform == server.EnsemblePlatform && (m.Backend != "" || m.GetEnsembleScheduling() == nil):
		return errors.New("platform \"ensemble\": needs ensemble_scheduling, and no backend")
	case m.GetResponseCache().GetEnable():
		return errors.New("response_cache: there is none; equal prefixes are found in the prefix cache without it")
	}
	return nil
}

func takeFile(c *Config, m *inference.ModelConfig, _ string) error {
	if name := m.DefaultModelFilename; name != "" {
		if name != filepath.Base(name) || name[0] == '.' || len(name) > maxName {
			return fmt.Errorf("default_model_filename %.64q: must be the name of a file of the version's directory", name)
		}
		c.file = name
	}
	return nil
}

// takeBatching takes how many sequences run together. Requests join the batch that runs at every step, so preferred sizes ask for nothing.
func takeBatching(c *Config, m *inference.ModelConfig, _ string) error {
	if m.MaxBatchSize < 0 {
		return fmt.Errorf("max_batch_size is %d: must not be below 0", m.MaxBatchSize)
	}
	c.MaxSequences = int(m.MaxBatchSize)
	batching := m.GetDynamicBatching()
	delay := batching.GetMaxQueueDelayMicroseconds()
	if delay > uint64(encode.LongestDelay.Microseconds()) {
		return fmt.Errorf("max_queue_delay_microseconds is %d: at most %v", delay, encode.LongestDelay)
	}
	c.QueueDelay = time.Duration(delay) * time.Microsecond
	size := batching.GetDefaultQueuePolicy().GetMaxQueueSize()
	if size > math.MaxInt32 {
		return fmt.Errorf("max_queue_size is %d: at most %d", size, math.MaxInt32)
	}
	c.QueueLimit = int(size)
	return nil
}

func takeInstances(_ *Config, m *inference.ModelConfig, _ string) error {
	for _, g := range m.InstanceGroup {
		switch {
		case len(m.InstanceGroup) > 1 || g.Count > 1:
			return errors.New("instance_group: a model runs once and batches its requests; leave count at 1")
		case g.Kind == inference.ModelInstanceGroup_KIND_GPU || g.Kind == inference.ModelInstanceGroup_KIND_CPU:
			return fmt.Errorf("instance_group.kind %v: the device is that of --device; use KIND_AUTO", g.Kind)
		}
	}
	return nil
}

func takeTensors(c *Config, m *inference.ModelConfig, _ string) error {
	for _, t := range m.Input {
		c.Inputs = append(c.Inputs, t.Name)
	}
	for _, t := range m.Output {
		c.Outputs = append(c.Outputs, t.Name)
	}
	return nil
}

// parameters are those that a configuration may have.
var parameters = map[string]func(c *Config, value string) error{
	"kv_memory": func(c *Config, value string) error {
		var size cli.Bytes
		if err := size.Set(value); err != nil {
			return err
		}
		c.KVBytes = int64(size)
		return nil
	},
	"max_context":     func(c *Config, value string) error { return positive(&c.MaxContext, value) },
	"max_step_tokens": func(c *Config, value string) error { return positive(&c.MaxStepTokens, value) },
}

func positive(to *int, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > math.MaxInt32 {
		return fmt.Errorf("%.32q is no number above 0", value)
	}
	*to = n
	return nil
}

func takeParameters(c *Config, m *inference.ModelConfig, _ string) error {
	for name, value := range m.Parameters {
		set := parameters[name]
		if set == nil {
			return fmt.Errorf("parameter %.64q is not known here; kv_memory, max_context and max_step_tokens are", name)
		}
		if err := set(c, value.GetStringValue()); err != nil {
			return fmt.Errorf("parameter %s: %w", name, err)
		}
	}
	return nil
}

// choose returns those of the versions that are to be served; they are in ascending order. Without a policy it is the highest.
func (c *Config) choose(numbers []int) ([]int, error) {
	most := 1
	switch policy := c.policy.GetPolicyChoice().(type) {
	case *inference.ModelVersionPolicy_All_:
		most = len(numbers)
	case *inference.ModelVersionPolicy_Latest_:
		most = int(max(1, policy.Latest.NumVersions))
	case *inference.ModelVersionPolicy_Specific_:
		var some []int
		for _, n := range policy.Specific.Versions {
			if !slices.Contains(numbers, int(n)) {
				return nil, fmt.Errorf("version_policy asks for version %d, which is not there", n)
			}
			some = append(some, int(n))
		}
		slices.Sort(some)
		numbers, most = slices.Compact(some), len(some)
	}
	if len(numbers) == 0 {
		return nil, errors.New("no version: the plan belongs in a directory called by a number, such as 1/" + planFile)
	}
	return numbers[max(0, len(numbers)-most):], nil
}
