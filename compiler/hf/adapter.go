package hf

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// The files of an adapter, as PEFT saves it.
const (
	AdapterConfigFile  = "adapter_config.json"
	AdapterWeightsFile = "adapter_model.safetensors"
)

// Adapter is a LoRA adapter: for each module that it adapts, what is added to its weight, as the product of two narrow matrices.
type Adapter struct {
	Dir string

	config *adapterConfig
	file   *File
	pairs  map[string]*loraPair // by the module's name
}

// loraPair is B [out, r] and A [r, in]: scale*B*A is added to the weight.
type loraPair struct {
	a, b  *Tensor
	scale float32
}

// modulePrefix is what PEFT puts before the names of the model's modules.
const modulePrefix = "base_model.model."

// OpenAdapter opens the adapter in the directory dir. Close it after use.
func OpenAdapter(dir string) (*Adapter, error) {
	obj, err := readObject(dir, AdapterConfigFile)
	if err != nil {
		return nil, err
	}
	if obj == nil {
		return nil, fileError(AdapterConfigFile, "is missing; %s is no adapter's directory", dir)
	}
	a := &Adapter{Dir: dir, pairs: map[string]*loraPair{}}
	if a.config, err = parseAdapterConfig(obj); err != nil {
		return nil, err
	}
	if !exists(dir, AdapterWeightsFile) {
		names, err := listFiles(dir)
		if err != nil {
			return nil, err
		}
		return nil, refuseAdapter(names)
	}
	if a.file, err = OpenFile(filepath.Join(dir, AdapterWeightsFile)); err != nil {
		return nil, err
	}
	if err := a.pair(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// refuseAdapter explains why files with these names are no adapter that is read.
func refuseAdapter(names []string) error {
	for _, name := range names {
		if name == "adapter_model.bin" {
			return fileError(name, "%w: it is a pickle, which can run code when it is read; load the adapter with PEFT and save it again", ErrForeign)
		}
	}
	return fileError(AdapterWeightsFile, "is missing")
}

// pair finds the two matrices of each module. Whatever else the file holds would be left out of the model, so it is an error.
func (a *Adapter) pair() error {
	for _, name := range a.file.Names() {
		t := a.file.Tensor(name)
		module, inner := strings.CutPrefix(name, modulePrefix)
		module, isA := strings.CutSuffix(module, ".lora_A.weight")
		module, isB := strings.CutSuffix(module, ".lora_B.weight")
		if !inner || isA == isB {
			return t.Errorf("is not lora_A or lora_B of a linear layer: merge the adapter with PEFT (merge_and_unload) and build that")
		}
		if len(t.Shape) != 2 {
			return t.Errorf("has shape %v instead of that of a matrix", t.Shape)
		}
		if err := t.CheckFloat(); err != nil {
			return err
		}
		p := a.pairs[module]
		if p == nil {
			p = &loraPair{}
			a.pairs[module] = p
		}
		if isA {
			p.a = t
		} else {
			p.b = t
		}
	}
	for _, module := range a.modules() {
		p := a.pairs[module]
		if p.a == nil || p.b == nil {
			return tensorError(AdapterWeightsFile, modulePrefix+module, "has only one of lora_A and lora_B")
		}
		rank, err := a.config.rank(module)
		if err != nil {
			return err
		}
		if p.a.Rows() != rank || p.b.Cols() != rank {
			return p.a.Errorf("has shape %v, and lora_B %v: the rank is %d by %s", p.a.Shape, p.b.Shape, rank, AdapterConfigFile)
		}
		if p.scale, err = a.config.scale(module, rank); err != nil {
			return err
		}
	}
	if len(a.pairs) == 0 {
		return fileError(AdapterWeightsFile, "adapts nothing")
	}
	return nil
}

// modules are the names of what is adapted, sorted.
func (a *Adapter) modules() []string { return slices.Sorted(maps.Keys(a.pairs)) }

// Close unmaps the adapter's weights.
func (a *Adapter) Close() error { return a.file.Close() }

// Adapters returns the adapters that are merged into the weights.
func (c *Checkpoint) Adapters() []*Adapter { return c.adapters }

// Merge adds an adapter to the weights, which are those of the sum from then on. The checkpoint closes the adapter with itself.
func (c *Checkpoint) Merge(a *Adapter) error {
	if c.weights == nil {
		return fileError(AdapterConfigFile, "an adapter is merged into weights, and these are made up")
	}
	merged := map[string]*Tensor{}
	for _, module := range a.modules() {
		name := module + ".weight"
		base := c.weights.byName[name]
		if base == nil { // saved without the head's part of the names
			_, bare, _ := strings.Cut(name, ".")
			name, base = bare, c.weights.byName[bare]
		}
		if base == nil {
			return tensorError(AdapterWeightsFile, modulePrefix+module, "adapts a weight that the checkpoint does not have: is it of another model?")
		}
		t, err := a.pairs[module].merge(base, a.config.transposed)
		if err != nil {
			return err
		}
		merged[name] = t
	}
	maps.Copy(c.weights.byName, merged)
	c.adapters = append(c.adapters, a)
	return nil
}

// AdapterPair is what an adapter adds to the weight of a module of the model: Scale * Up * Down, Up [out, rank] and Down [rank, in].
type AdapterPair struct {
	Module   string
	Down, Up *Tensor
	Scale    float32
}

// Pairs returns what the adapter adds, in the order of the modules' names.
func (a *Adapter) Pairs() []AdapterPair {
	var pairs []AdapterPair
	for _, module := range a.modules() {
		p := a.pairs[module]
		pairs = append(pairs, AdapterPair{Module: module, Down: p.a, Up: p.b, Scale: p.scale})
	}
	return pairs
}

// TensorNames are the names that the weight of a module may have: that of the checkpoint, and without the head's part of it.
func (p *AdapterPair) TensorNames() []string {
	name := p.Module + ".weight"
	_, bare, _ := strings.Cut(name, ".")
	return []string{name, bare}
}
