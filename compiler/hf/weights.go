package hf

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// weightFile is one mapped safetensors file.
type weightFile struct {
	name    string
	mapped  *mapping
	data    int64 // offset of the data in the file
	tensors []*Tensor
}

// openWeightFile reads the header of dir/name and maps the file.
func openWeightFile(dir, name string) (*weightFile, error) {
	f, size, err := openRegular(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h, err := readHeader(name, f, size)
	if err != nil {
		return nil, err
	}
	mapped, err := mapFile(f, size)
	if err != nil {
		return nil, fileError(name, "%w", err)
	}
	w := &weightFile{name, mapped, h.data, h.tensors}
	for _, t := range w.tensors {
		t.rows = w
	}
	return w, nil
}

// openRegular opens dir/name if it is a regular file; links are followed, as the Hub's cache consists of them.
func openRegular(dir, name string) (*os.File, int64, error) {
	path := filepath.Join(dir, filepath.FromSlash(name))
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, fileError(name, "%w", cause(err))
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fileError(name, "is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fileError(name, "%w", cause(err))
	}
	return f, info.Size(), nil
}

func (w *weightFile) readRows(t *Tensor, dst []float32, first int64) error {
	size := int64(t.DType.Size())
	offset, n := w.data+t.begin+first*size, int64(len(dst))*size
	convert := converters[t.DType]
	if err := w.mapped.view(offset, n, func(src []byte) { convert(dst, src) }); err != nil {
		return t.Errorf("%w", err)
	}
	w.mapped.release(offset, n)
	return nil
}

func (w *weightFile) readBytes(t *Tensor, dst []byte, offset int64) error {
	offset += w.data + t.begin
	if err := w.mapped.view(offset, int64(len(dst)), func(src []byte) { copy(dst, src) }); err != nil {
		return t.Errorf("%w", err)
	}
	w.mapped.release(offset, int64(len(dst)))
	return nil
}

// weightSet is all tensors of a checkpoint, by name.
type weightSet struct {
	files  []*weightFile
	byName map[string]*Tensor
}

// newWeightSet returns the tensors of one file, whose names its header has made unique.
func newWeightSet(w *weightFile) *weightSet {
	set := &weightSet{files: []*weightFile{w}, byName: map[string]*Tensor{}}
	for _, t := range w.tensors {
		set.byName[t.Name] = t
	}
	return set
}

func (set *weightSet) names() []string { return slices.Sorted(maps.Keys(set.byName)) }

// openWeights opens model.safetensors, or the shards that the index names.
func openWeights(dir string) (*weightSet, error) {
	if exists(dir, singleFile) {
		w, err := openWeightFile(dir, singleFile)
		if err != nil {
			return nil, err
		}
		return newWeightSet(w), nil
	}
	if !exists(dir, indexFile) {
		return nil, refuseWeights(dir)
	}
	ix, err := readIndex(dir)
	if err != nil {
		return nil, err
	}
	return openShards(dir, ix)
}

func openShards(dir string, ix *index) (*weightSet, error) {
	set := &weightSet{byName: map[string]*Tensor{}}
	for _, shard := range ix.shards {
		w, err := openWeightFile(dir, shard)
		if err != nil {
			set.close()
			return nil, err
		}
		set.files = append(set.files, w)
		if err := set.add(w, ix); err != nil {
			set.close()
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ix.shardOf)) {
		if set.byName[name] == nil {
			set.close()
			return nil, tensorError(indexFile, name, "is not in %s, which the index names", ix.shardOf[name])
		}
	}
	return set, nil
}

// add takes over a shard's tensors. Where two shards hold one name, the index decides.
func (set *weightSet) add(w *weightFile, ix *index) error {
	for _, t := range w.tensors {
		if shard, ok := ix.shardOf[t.Name]; ok && shard != w.name {
			continue
		}
		if other := set.byName[t.Name]; other != nil {
			return t.Errorf("is in %s too, and the index does not say which to use", other.file)
		}
		if len(set.byName) >= maxTensors {
			return fileError(w.name, "more than %d tensors in all shards", maxTensors)
		}
		set.byName[t.Name] = t
	}
	return nil
}

func (set *weightSet) close() error {
	var first error
	for _, w := range set.files {
		if err := w.mapped.close(); err != nil && first == nil {
			first = fileError(w.name, "%w", err)
		}
	}
	return first
}
