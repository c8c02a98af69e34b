package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ConfigFile says what the model is.
const ConfigFile = "config.json"

// QuantizeFile is where AutoGPTQ says how a checkpoint is quantized, if config.json does not.
const QuantizeFile = "quantize_config.json"

// ModelOptFile is where NVIDIA's Model Optimizer says so, and older versions of it alone.
const ModelOptFile = "hf_quant_config.json"

const maxConfigBytes = 16 << 20

// Config is config.json.
type Config struct {
	*Object
	ModelType     string   // "" when the file does not say
	Architectures []string // classes that transformers would load it with
	DType         string   // dtype of the weights, such as "bfloat16"; "" when the file does not say
}

// Checkpoint is an opened model directory.
type Checkpoint struct {
	Dir        string
	Config     *Config
	Generation *Generation
	Quantize   *Object   // QuantizeFile, nil when it is absent
	ModelOpt   *Object   // ModelOptFile, nil when it is absent
	Sentence   *Sentence // how sentence-transformers makes embeddings, nil where no file says so

	files     []string // names in Dir, sorted
	weights   *weightSet
	random    *randomWeights
	adapters  []*Adapter // that are merged into the weights
	container *Container // that it was made of; nil for directories
}

// Open opens the directory dir with its weights. Close it after use.
func Open(dir string) (*Checkpoint, error) {
	c, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	c.weights, err = openWeights(dir)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// OpenRandom opens a directory that needs no weights: whatever tensor is asked for is made from seed.
func OpenRandom(dir string, seed uint64) (*Checkpoint, error) {
	c, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	c.random = &randomWeights{seed: seed, known: map[string]*Tensor{}}
	return c, nil
}

func openDirectory(dir string) (*Checkpoint, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuseMissing(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("model directory: %w", err)
	}
	if !info.IsDir() {
		return nil, refuseFile(dir)
	}
	c := &Checkpoint{Dir: dir}
	if c.files, err = listFiles(dir); err != nil {
		return nil, err
	}
	if c.Config, err = readConfig(dir, c.files); err != nil {
		return nil, err
	}
	if c.Quantize, err = readObject(dir, QuantizeFile); err != nil {
		return nil, err
	}
	if c.ModelOpt, err = readObject(dir, ModelOptFile); err != nil {
		return nil, err
	}
	if c.Sentence, err = readSentence(dir); err != nil {
		return nil, err
	}
	generation, err := readObject(dir, GenerationFile)
	if err != nil {
		return nil, err
	}
	c.Generation, err = parseGeneration(c.Config.Object, generation)
	return c, err
}

func readConfig(dir string, names []string) (*Config, error) {
	obj, err := readObject(dir, ConfigFile)
	if err != nil {
		return nil, err
	}
	if obj == nil {
		return nil, refuseConfig(dir, names)
	}
	return newConfig(obj)
}

func newConfig(obj *Object) (*Config, error) {
	f := obj.Fields()
	c := &Config{obj, f.TextOr("model_type", ""), f.Texts("architectures"), f.TextOr("dtype", "")}
	if c.DType == "" {
		c.DType = f.TextOr("torch_dtype", "") // the key's name before transformers 5
	}
	return c, f.Err()
}

// readObject reads a JSON file, nil when it is absent.
func readObject(dir, name string) (*Object, error) {
	text, err := readOptional(dir, name, maxConfigBytes)
	if err != nil || text == nil {
		return nil, err
	}
	return ParseObject(name, text)
}

// Close unmaps the weights. Tensors must not be read any more.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, a := range c.adapters {
		errs = append(errs, a.Close())
	}
	if c.container != nil {
		return errors.Join(append(errs, c.container.Close())...)
	}
	if c.weights != nil {
		errs = append(errs, c.weights.close())
	}
	return errors.Join(errs...)
}

// Random tells whether weights are made up instead of read.
func (c *Checkpoint) Random() bool { return c.random != nil }

// Has tells whether the checkpoint holds a tensor; with random weights it holds none until they are asked for.
func (c *Checkpoint) Has(name string) bool { return c.weights != nil && c.weights.byName[name] != nil }

// Tensor returns the tensor called name after checking that it has the shape and holds numbers.
func (c *Checkpoint) Tensor(name string, shape ...int64) (*Tensor, error) {
	if c.random != nil {
		return c.random.tensor(name, shape)
	}
	t := c.weights.byName[name]
	if t == nil && c.container != nil {
		return nil, tensorError(c.container.Files[0], c.container.Stored(name), "is missing; the metadata ask for it with shape %v", shape)
	}
	if t == nil {
		return nil, tensorError(c.weights.source(), name, "is missing; config.json asks for it with shape %v", shape)
	}
	if err := t.CheckShape(shape...); err != nil {
		return nil, err
	}
	return t, t.CheckFloat()
}

// Lookup returns the tensor called name whatever it holds, nil when there is none (or, of random weights, none was asked for yet).
func (c *Checkpoint) Lookup(name string) *Tensor {
	switch {
	case c.random != nil:
		return c.random.lookup(name)
	case c.weights == nil:
		return nil
	}
	return c.weights.byName[name]
}

// Names returns the names of all stored tensors, sorted; none for random weights.
func (c *Checkpoint) Names() []string {
	if c.weights == nil {
		return nil
	}
	return c.weights.names()
}

// WeightFiles returns the names of the files that hold the weights, and of the index that names them.
func (c *Checkpoint) WeightFiles() []string {
	switch {
	case c.container != nil:
		return c.container.Files
	case c.weights == nil:
		return nil
	}
	var names []string
	for _, w := range c.weights.files {
		names = append(names, w.name)
	}
	if c.weights.source() == indexFile {
		names = append(names, indexFile)
	}
	return names
}

// source names the file that lists the tensors.
func (set *weightSet) source() string {
	if len(set.files) == 1 && set.files[0].name == singleFile {
		return singleFile
	}
	return indexFile
}

// Errorf returns an *Error about a key of config.json, or of what stands in for it.
func (c *Config) Errorf(key, format string, args ...any) error {
	return fieldError(c.file, c.where(key), format, args...)
}
