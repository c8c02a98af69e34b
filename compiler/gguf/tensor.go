package gguf

import (
	"fmt"
	"sync"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
)

// rows gives the rows of one tensor, in the order that transformers has. It implements hf.RowSource.
type rows struct {
	file *hf.Mapped
	info *tensorInfo
	cols int64 // elements of a row
	// order says where the file has a row of transformers; nil: in the same place.
	order func(row int64) int64
	less  float32 // what the file has added to every number
	of    float32 // what multiplies every number, of types that have that
}

func newRows(file *hf.Mapped, info *tensorInfo) *rows {
	r := &rows{file: file, info: info, cols: 1, of: 1}
	for _, d := range info.shape[1:] {
		r.cols *= d
	}
	return r
}

// tensor returns the tensor under the name that transformers has for it.
func (r *rows) tensor(name string) *hf.Tensor {
	return hf.NewTensor(name, r.file.Name, r.info.kind.name, r.number(), r.info.shape, r.info.bytes, r)
}

// number is the least type of plain numbers that holds every element exactly.
func (r *rows) number() dtype.Type {
	if r.less != 0 {
		return dtype.F32
	}
	return r.info.kind.number
}

// ReadRows implements hf.RowSource.
func (r *rows) ReadRows(dst []float32, first int64) error {
	if r.order == nil {
		return r.decode(dst, first)
	}
	for len(dst) > 0 {
		row, col := first/r.cols, first%r.cols
		n := min(int64(len(dst)), r.cols-col)
		if err := r.decode(dst[:n], r.order(row)*r.cols+col); err != nil {
			return err
		}
		dst, first = dst[n:], first+n
	}
	return nil
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
	if t.scaled != nil {
		decode = func(dst []float32, src []byte) { t.scaled(dst, src, r.of) }
	}
	if first < 0 || offset+n > r.info.offset+r.info.bytes {
		return fmt.Errorf("elements from %d on are beyond its end", first*t.block)
	}
	if err := r.file.View(offset, n, func(src []byte) { decode(dst, src) }); err != nil {
		return err
	}
	r.file.Release(offset, n)
	if r.less != 0 {
		for i := range dst {
			dst[i] -= r.less
		}
	}
	return nil
}

// ReadBytes implements hf.RowSource.
func (r *rows) ReadBytes(dst []byte, offset int64) error {
	if r.order == nil {
		return r.copyBytes(dst, offset)
	}
	size := r.cols / r.info.kind.block * r.info.kind.bytes
	for len(dst) > 0 {
		row, at := offset/size, offset%size
		n := min(int64(len(dst)), size-at)
		if err := r.copyBytes(dst[:n], r.order(row)*size+at); err != nil {
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
