package gguf

import (
	"errors"

	"llmc/compiler/hf"
)

// file is one mapped file with its header.
type file struct {
	*hf.Mapped
	meta  *metadata
	infos []tensorInfo
}

// model is the files of one model; the first has the metadata.
type model struct {
	*metadata
	dir    string
	files  []*file
	family *architecture
}

// Open opens the model at path: a file, one of the parts of a model or a directory that holds one model. Close the checkpoint after use.
func Open(path string) (*hf.Checkpoint, error) {
	dir, names, err := find(path)
	if err != nil {
		return nil, err
	}
	m := &model{dir: dir}
	checkpoint, err := m.open(names)
	if err != nil {
		return nil, errors.Join(err, m.close())
	}
	return checkpoint, nil
}

func (m *model) open(names []string) (*hf.Checkpoint, error) {
	for _, name := range names {
		f, err := openFile(m.dir, name)
		if err != nil {
			return nil, err
		}
		m.files = append(m.files, f)
	}
	m.metadata = m.files[0].meta
	if err := m.checkParts(); err != nil {
		return nil, err
	}
	var err error
	if m.family, err = m.findArchitecture(); err != nil {
		return nil, err
	}
	c := &hf.Container{Dir: m.dir, Files: names, Stored: m.family.stored, Close: m.close}
	if c.Config, err = m.config(); err != nil {
		return nil, err
	}
	if c.Documents, err = m.documents(); err != nil {
		return nil, err
	}
	tensors, err := m.tensors(c.Config)
	if err != nil {
		return nil, err
	}
	for _, t := range tensors {
		c.Tensors = append(c.Tensors, t.Tensor)
	}
	checkpoint, err := c.Checkpoint()
	if err != nil {
		return nil, err
	}
	return checkpoint, setDigits(checkpoint, tensors)
}

func openFile(dir, name string) (*file, error) {
	mapped, err := hf.OpenMapped(dir, name)
	if err != nil {
		return nil, err
	}
	f := &file{Mapped: mapped}
	view := func(use func([]byte)) error { return mapped.View(0, min(mapped.Size, maxHeader), use) }
	var inner error
	err = view(func(header []byte) { f.meta, f.infos, inner = parse(name, header, mapped.Size) })
	if err == nil {
		err = inner
	}
	if err != nil {
		return nil, errors.Join(err, mapped.Close())
	}
	f.meta.view = view
	return f, nil
}

// close unmaps all files.
func (m *model) close() error {
	var all error
	for _, f := range m.files {
		all = errors.Join(all, f.Close())
	}
	return all
}

// Keys of models in several files.
const (
	partKey        = "split.no"
	partsKey       = "split.count"
	partTensorsKey = "split.tensors.count"
)

// checkParts holds each file to its place among the parts.
func (m *model) checkParts() error {
	tensors := 0
	for i, f := range m.files {
		tensors += len(f.infos)
		part, err := f.meta.integer(partKey, 0)
		if err != nil {
			return err
		}
		count, err := f.meta.integer(partsKey, int64(len(m.files)))
		switch {
		case err != nil:
			return err
		case count == 0: // of a model that was not split after all
		case count != int64(len(m.files)):
			return f.meta.errorf(partsKey, "says %d files, the file's name says %d", count, len(m.files))
		case part != int64(i):
			return f.meta.errorf(partKey, "says that it is file %d, its name that it is %d (counted from 0)", part, i)
		}
	}
	if want, err := m.integer(partTensorsKey, int64(tensors)); err != nil || want != int64(tensors) {
		return errors.Join(err, m.errorf(partTensorsKey, "says %d tensors, the files have %d", want, tensors))
	}
	return nil
}
