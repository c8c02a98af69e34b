package gguf

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"llmc/compiler/hf"
)

// Bounds of a file's header.
const (
	maxHeader   = 1 << 30
	maxTensors  = 1 << 18
	maxName     = 1 << 10
	maxRank     = 4
	maxElements = 1 << 48
	maxAlign    = 1 << 20
)

const (
	magic            = 0x46554747 // "GGUF"
	defaultAlignment = 32
	alignmentKey     = "general.alignment"
)

// versions of the format that are read: 3 differs from 2 in that a file may be big-endian.
const (
	firstVersion = 2
	lastVersion  = 3
)

// tensorInfo is a tensor as the header describes it.
type tensorInfo struct {
	name   string
	kind   *tensorType
	shape  []int64 // rows first: the reverse of the file's order
	offset int64   // of its bytes in the file
	bytes  int64
}

func (t *tensorInfo) errorf(file, format string, args ...any) error {
	return &hf.Error{File: file, Tensor: t.name, Err: fmt.Errorf(format, args...)}
}

// parse reads the header of a file of size bytes, of which header is the beginning.
func parse(file string, header []byte, size int64) (*metadata, []tensorInfo, error) {
	c := &cursor{file: file, data: header}
	if m := c.u32("magic"); c.err == nil && m != magic {
		c.fail("magic", "is not GGUF")
	}
	version := c.u32("version")
	switch {
	case c.err != nil:
	case version < firstVersion || version > lastVersion && bits.ReverseBytes32(version) > lastVersion:
		c.fail("version", "%d is not read; versions %d and %d are: convert the model again", version, firstVersion, lastVersion)
	case version > lastVersion:
		c.fail("version", "the file is big-endian, which is not read: convert the model for this machine")
	}
	tensors := c.count("tensor_count", "tensors", maxTensors, 24)
	keys := c.count("metadata_kv_count", "keys", maxKeys, 13)
	meta := c.parseMetadata(keys)
	infos := c.parseTensors(tensors)
	if c.err != nil {
		return nil, nil, c.err
	}
	meta.view = func(use func([]byte)) error { use(header); return nil }
	alignment, err := meta.integer(alignmentKey, defaultAlignment)
	if err != nil {
		return nil, nil, err
	}
	if alignment < 1 || alignment > maxAlign || alignment&(alignment-1) != 0 {
		return nil, nil, meta.errorf(alignmentKey, "%d is not a power of two up to %d", alignment, maxAlign)
	}
	return meta, infos, place(file, infos, alignUp(int64(c.at), alignment), alignment, size)
}

func alignUp(n, to int64) int64 { return (n + to - 1) / to * to }

func (c *cursor) parseTensors(count uint64) []tensorInfo {
	var infos []tensorInfo
	seen := map[string]bool{}
	for i := uint64(0); i < count && c.err == nil; i++ {
		t := tensorInfo{name: c.text(fmt.Sprintf("name of tensor %d", i), maxName)}
		if c.err == nil && (t.name == "" || seen[t.name]) {
			c.fail(fmt.Sprintf("name of tensor %d", i), "%q is empty or there twice", t.name)
		}
		seen[t.name] = true
		if err := t.parse(c); c.err == nil && err != nil {
			c.err = t.errorf(c.file, "%w", err)
		}
		infos = append(infos, t)
	}
	return infos
}

// parse reads what follows the name and finds the bytes that the tensor takes.
func (t *tensorInfo) parse(c *cursor) error {
	rank := c.u32("tensor " + t.name)
	if rank < 1 || rank > maxRank {
		return fmt.Errorf("has %d dimensions, 1 to %d are read", rank, maxRank)
	}
	elements := uint64(1)
	for range rank {
		d := c.u64("tensor " + t.name)
		hi, lo := bits.Mul64(elements, d)
		if c.err == nil && (d == 0 || hi != 0 || lo > maxElements) {
			return fmt.Errorf("has a dimension of %d; there must be 1 to %d elements", d, int64(maxElements))
		}
		elements = lo
		t.shape = append(t.shape, int64(d))
	}
	slices.Reverse(t.shape)
	id, offset := c.u32("tensor "+t.name), c.u64("tensor "+t.name)
	if c.err != nil {
		return nil
	}
	var err error
	if t.kind, err = findType(id); err != nil {
		return err
	}
	if cols := t.shape[rank-1]; cols%t.kind.block != 0 {
		return fmt.Errorf("has rows of %d elements, which are no blocks of %d of %s", cols, t.kind.block, t.kind.name)
	}
	if offset > 1<<62 {
		return fmt.Errorf("has offset %d, beyond any file", offset)
	}
	t.offset, t.bytes = int64(offset), int64(elements)/t.kind.block*t.kind.bytes
	return nil
}

// place makes offsets those in the file and verifies that the tensors lie in it, aligned and apart.
func place(file string, infos []tensorInfo, data, alignment, size int64) error {
	for i := range infos {
		t := &infos[i]
		if t.offset%alignment != 0 {
			return t.errorf(file, "has offset %d, which is no multiple of the alignment %d", t.offset, alignment)
		}
		if t.bytes > size-data || t.offset > size-data-t.bytes {
			return t.errorf(file, "has %d bytes of %s from %d on, but there are %d bytes of data: the file is truncated, or the header wrong", t.bytes, t.kind.name, t.offset, max(0, size-data))
		}
		t.offset += data
	}
	sorted := slices.Clone(infos)
	slices.SortFunc(sorted, func(a, b tensorInfo) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.name, b.name))
	})
	for i := 1; i < len(sorted); i++ {
		if before := &sorted[i-1]; sorted[i].offset < before.offset+before.bytes {
			return sorted[i].errorf(file, "begins inside tensor %q", before.name)
		}
	}
	return nil
}
