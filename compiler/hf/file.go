package hf

import "path/filepath"

// File is one safetensors file by itself: an adapter, recorded outputs.
type File struct{ set *weightSet }

// OpenFile opens the safetensors file at path. Close it after use.
func OpenFile(path string) (*File, error) {
	w, err := openWeightFile(filepath.Split(path))
	if err != nil {
		return nil, err
	}
	return &File{newWeightSet(w)}, nil
}

// Tensor returns the tensor called name, nil when there is none.
func (f *File) Tensor(name string) *Tensor { return f.set.byName[name] }

// Names returns the names of all tensors, sorted.
func (f *File) Names() []string { return f.set.names() }

// Close unmaps the file.
func (f *File) Close() error { return f.set.close() }
