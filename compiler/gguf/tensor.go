package gguf

import (
	"fmt"
	"sync"

	"llmc/compiler/hf"
)

// rows gives the rows of one tensor, in the order that transformers has. It implements hf.RowSource.
type rows struct {
	file *hf.Mapped
	info *tensorInfo
	cols int64 // elements of a row
	dim  int64 // channels of a head whose rows are turned in pairs (see paired); 0: rows are in order
}

func newRows(file *hf.Mapped, info *tensorInfo, dim int64) *rows {
	r := &rows{file: file, info: info, cols: 1, dim: dim}
	for _, d := range info.shape[1:] {
		r.cols *= d
	}
	return r
}

// tensor returns the tensor under the name that transformers has for it.
func (r *rows) tensor(name string) *hf.Tensor {
	return hf.NewTensor(name, r.file.Name, r.info.kind.name, r.info.kind.number, r.info.shape, r.info.bytes, r)
}

// ReadRows implements hf.RowSource.
func (r *rows) ReadRows(dst []float32, first int64) error {
	if r.dim == 0 {
		return r.decode(dst, first)
	}
	for len(dst) > 0 {
		row, col := first/r.cols, first%r.cols
		n := min(int64(len(dst)), r.cols-col)
		if err := r.decode(dst[:n], paired(row, r.dim)*r.cols+col); err != nil {
			return err
		}
		dst, first = dst[n:], first+n
	}
	return nil
}

// paired returns where the file has row r of q or k. Rotary embeddings turn channel i of a head together with channel i+dim/2 in transformers, with the
// next one in llama.cpp, whose converter therefore writes the two halves of a head in turn.
func paired(r, dim int64) int64 {
	i := r % dim
	return r - i + i%(dim/2)*2 + i/(dim/2)
}

// decode fills dst with elements from first on, in the order of the file.
func (r *rows) decode(dst []float32, first int64) error {
	t := r.info.kind
	n := int64(len(dst))
	if first%t.block == 0 && n%t.block == 0 {
		return r.decodeBlocks(dst, first/t.block)
	}
	lo, hi := first/t.block, (first+n+t.block-1)/t.block
	blocks := partial.Get().(*[]float32)
	defer partial.Put(blocks)
	if need := int((hi - lo) * t.block); cap(*blocks) < need {
		*blocks = make([]float32, need)
	}
	all := (*blocks)[:(hi-lo)*t.block]
	if err := r.decodeBlocks(all, lo); err != nil {
		return err
	}
	copy(dst, all[first-lo*t.block:])
	return nil
}

// partial holds buffers for reads that begin or end inside a block: columns of a matrix.
var partial = sync.Pool{New: func() any { return new([]float32) }}

func (r *rows) decodeBlocks(dst []float32, first int64) error {
	t := r.info.kind
	offset, n := r.info.offset+first*t.bytes, int64(len(dst))/t.block*t.bytes
	decode := t.decode
	if decode == nil {
		decode = hf.Converter(t.number)
	}
	if first < 0 || offset+n > r.info.offset+r.info.bytes {
		return fmt.Errorf("elements from %d on are beyond its end", first*t.block)
	}
	if err := r.file.View(offset, n, func(src []byte) { decode(dst, src) }); err != nil {
		return err
	}
	r.file.Release(offset, n)
	return nil
}

// ReadBytes implements hf.RowSource.
func (r *rows) ReadBytes(dst []byte, offset int64) error {
	if r.dim == 0 {
		return r.copyBytes(dst, offset)
	}
	size := r.cols / r.info.kind.block * r.info.kind.bytes
	for len(dst) > 0 {
		row, at := offset/size, offset%size
		n := min(int64(len(dst)), size-at)
		if err := r.copyBytes(dst[:n], paired(row, r.dim)*size+at); err != nil {
			return err
		}
		dst, offset = dst[n:], offset+n
	}
	return nil
}

func (r *rows) copyBytes(dst []byte, offset int64) error {
	n := int64(len(dst))
	if offset < 0 || offset+n > r.info.bytes {
		return fmt.Errorf("bytes from %d on are beyond its end", offset)
	}
	return r.file.View(r.info.offset+offset, n, func(src []byte) { copy(dst, src) })
}
