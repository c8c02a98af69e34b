package hf

import (
	"slices"

	"llmc/internal/dtype"
)

// Container is a checkpoint in another form than a directory in HuggingFace layout, brought into the terms of one by the reader of that form: the
// keys of a config.json, the names and orders of tensors, the files of a tokenizer.
type Container struct {
	Dir       string   // where its files lie
	Files     []string // their names, as digests and messages give them; the first one describes the model
	Config    *Object
	Tensors   []*Tensor
	Documents map[Part]*Document
	// Stored gives the container's own name of a tensor, for messages.
	Stored func(name string) string
	// Close gives up what the tensors are read from.
	Close func() error
}

// Checkpoint returns the container as a checkpoint, whose Close is the container's.
func (c *Container) Checkpoint() (*Checkpoint, error) {
	set := &weightSet{byName: map[string]*Tensor{}}
	for _, t := range c.Tensors {
		if set.byName[t.Name] != nil {
			return nil, t.Errorf("is there twice")
		}
		set.byName[t.Name] = t
	}
	config, err := newConfig(c.Config)
	if err != nil {
		return nil, err
	}
	generation, err := parseGeneration(c.Config, nil)
	if err != nil {
		return nil, err
	}
	return &Checkpoint{Dir: c.Dir, Config: config, Generation: generation, weights: set, container: c}, nil
}

// RowSource gives the elements of one tensor of a container.
type RowSource interface {
	// ReadRows fills dst with elements [first, first+len(dst)) in row-major order.
	ReadRows(dst []float32, first int64) error
	// ReadBytes fills dst with stored bytes from offset on, row after row.
	ReadBytes(dst []byte, offset int64) error
}

// NewTensor makes a tensor of a container: stored names the form in which file holds it, in bytes bytes, and kind is the least type of plain numbers that holds each of
// its elements exactly.
func NewTensor(name, file, stored string, kind dtype.Type, shape []int64, bytes int64, rows RowSource) *Tensor {
	return &Tensor{Name: name, DType: kind, Stored: stored, Shape: slices.Clone(shape), file: file, end: bytes, rows: contained{rows}, contained: true}
}

// WithCodes has Codes return codes: what else than numbers can be read of the tensor.
func (t *Tensor) WithCodes(codes Coded) *Tensor {
	t.codes = codes
	return t
}

// contained makes a RowSource the source of its tensor, and of views of it.
type contained struct{ RowSource }

func (c contained) readRows(t *Tensor, dst []float32, first int64) error {
	if err := c.ReadRows(dst, first); err != nil {
		return t.Errorf("%w", err)
	}
	return nil
}

func (c contained) readBytes(t *Tensor, dst []byte, offset int64) error {
	if err := c.ReadBytes(dst, offset); err != nil {
		return t.Errorf("%w", err)
	}
	return nil
}

// Mapped is one mapped file of a container.
type Mapped struct {
	Name   string // inside its directory
	Size   int64
	mapped *mapping
}

// OpenMapped maps dir/name, which must be a regular file. Close it after use.
func OpenMapped(dir, name string) (*Mapped, error) {
	f, size, err := openRegular(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mapped, err := mapFile(f, size)
	if err != nil {
		return nil, fileError(name, "%w", err)
	}
	return &Mapped{name, size, mapped}, nil
}

// View calls use with bytes [offset, offset+n), which must lie within the file. It fails where the file has been shortened since.
func (m *Mapped) View(offset, n int64, use func([]byte)) error { return m.mapped.view(offset, n, use) }

// Release tells the system that the bytes are not needed for now.
func (m *Mapped) Release(offset, n int64) { m.mapped.release(offset, n) }

// Close unmaps the file.
func (m *Mapped) Close() error { return m.mapped.close() }

// Converter returns what turns stored elements of a plain type into numbers, nil for other types.
func Converter(t dtype.Type) func(dst []float32, src []byte) { return converters[t] }
