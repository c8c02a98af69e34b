package hf

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"llmc/internal/dtype"
)

// Bounds of a safetensors header. The length is the format's own.
const (
	maxHeaderBytes  = 100_000_000
	maxTensors      = 1 << 18
	maxHeaderValues = 16 * maxTensors
	maxRank         = 8
	maxElements     = 1 << 48
)

// headerMetadata is the key of the header that is not a tensor.
const headerMetadata = "__metadata__"

// header is what precedes the data of a safetensors file: a length in 8 bytes, then a JSON object that maps names to dtype,
// shape and range of bytes (https://github.com/huggingface/safetensors#format).
type header struct {
	tensors []*Tensor // in order of their data
	data    int64     // offset of the first byte of data in the file
}

// readHeader reads and checks the header of a safetensors file of size bytes.
func readHeader(file string, in io.ReaderAt, size int64) (*header, error) {
	var length [8]byte
	if n, err := in.ReadAt(length[:], 0); n < len(length) {
		return nil, fileError(file, "%d bytes are too few for a safetensors file: %w", size, err)
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeaderBytes {
		return nil, fileError(file, "header of %d bytes, at most %d: not a safetensors file, or damaged", n, maxHeaderBytes)
	}
	h := &header{data: 8 + int64(n)}
	if h.data > size {
		return nil, fileError(file, "header of %d bytes in a file of %d: the file is truncated", n, size)
	}
	r := newJSONReader(file, io.NewSectionReader(in, 8, int64(n)), maxHeaderValues)
	r.base = 8
	if err := h.parse(r); err != nil {
		return nil, err
	}
	return h, h.checkRanges(file, size-h.data)
}

func (h *header) parse(r *jsonReader) error {
	tok, err := r.token()
	if err != nil {
		return err
	}
	if tok != json.Delim('{') {
		return r.at("the header must be a JSON object")
	}
	seen := map[string]bool{}
	err = r.eachKey(func(name string) error {
		if seen[name] {
			return tensorError(r.file, name, "is listed twice in the header")
		}
		if len(seen) >= maxTensors {
			return r.at("more than %d tensors", maxTensors)
		}
		seen[name] = true
		if name == headerMetadata {
			return checkMetadata(r)
		}
		t, err := parseEntry(r, name)
		h.tensors = append(h.tensors, t)
		return err
	})
	if err != nil {
		return err
	}
	return r.end()
}

// checkMetadata refuses files that other frameworks wrote: their tensors have other names and orders of axes.
func checkMetadata(r *jsonReader) error {
	bad := func(key, format string, args ...any) error {
		return fieldError(r.file, headerMetadata+key, format, args...)
	}
	tok, err := r.token()
	if err != nil {
		return err
	}
	if tok != json.Delim('{') {
		return bad("", "must be an object")
	}
	return r.eachKey(func(key string) error {
		tok, err := r.token()
		if err != nil {
			return err
		}
		value, ok := tok.(string)
		if !ok {
			return bad("."+key, "must be a string")
		}
		if key == "format" && !slices.Contains(tensorFormats, value) {
			return bad("."+key, "%q: only PyTorch's layout is read; save the model again with transformers", clip(value))
		}
		return nil
	})
}

// tensorFormats are the frameworks that share PyTorch's names and orders of axes.
var tensorFormats = []string{"pt", "np", "mlx"}

// parseEntry reads the value of one name.
func parseEntry(r *jsonReader, name string) (*Tensor, error) {
	t := &Tensor{Name: name, file: r.file}
	if name == "" || strings.ContainsRune(name, 0) {
		return nil, tensorError(r.file, name, "a tensor's name must not be empty or hold a zero byte")
	}
	tok, err := r.token()
	if err != nil {
		return nil, err
	}
	if tok != json.Delim('{') {
		return nil, tensorError(r.file, name, "must be an object with dtype, shape and data_offsets")
	}
	var seen [len(entryFields)]bool
	err = r.eachKey(func(key string) error {
		i := slices.IndexFunc(entryFields[:], func(f entryField) bool { return f.name == key })
		if i < 0 {
			return r.skip(2)
		}
		if seen[i] {
			return tensorError(r.file, name, "%s is given twice", key)
		}
		seen[i] = true
		return entryFields[i].read(r, t)
	})
	if err != nil {
		return nil, err
	}
	if i := slices.Index(seen[:], false); i >= 0 {
		return nil, tensorError(r.file, name, "%s is missing", entryFields[i].name)
	}
	return t, t.checkSize()
}

type entryField struct {
	name string
	read func(r *jsonReader, t *Tensor) error
}

var entryFields = [...]entryField{
	{"dtype", func(r *jsonReader, t *Tensor) error {
		tok, err := r.token()
		if err != nil {
			return err
		}
		name, ok := tok.(string)
		if !ok {
			return tensorError(r.file, t.Name, "dtype must be a string")
		}
		// An unknown dtype is an error only once the tensor is read.
		t.Stored = name
		t.DType, _ = dtype.FromSafetensors(name)
		return nil
	}},
	{"shape", func(r *jsonReader, t *Tensor) (err error) {
		t.Shape, err = parseCounts(r, t.Name, "shape", maxRank)
		return err
	}},
	{"data_offsets", func(r *jsonReader, t *Tensor) error {
		offsets, err := parseCounts(r, t.Name, "data_offsets", 2)
		if err == nil && len(offsets) != 2 {
			err = tensorError(r.file, t.Name, "data_offsets must be two numbers")
		}
		if err == nil {
			t.begin, t.end = offsets[0], offsets[1]
		}
		return err
	}},
}

// parseCounts reads a list of at most most non-negative integers.
func parseCounts(r *jsonReader, name, field string, most int) ([]int64, error) {
	bad := func(format string, args ...any) error {
		return tensorError(r.file, name, "%s: %w", field, fmt.Errorf(format, args...))
	}
	tok, err := r.token()
	if err != nil {
		return nil, err
	}
	if tok != json.Delim('[') {
		return nil, bad("must be a list of integers")
	}
	counts := []int64{}
	err = r.eachItem(func() error {
		tok, err := r.token()
		if err != nil {
			return err
		}
		number, ok := tok.(json.Number)
		if !ok {
			return bad("must hold integers only")
		}
		n, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil || n < 0 {
			return bad("%s is not a size", clip(string(number)))
		}
		if len(counts) >= most {
			return bad("more than %d numbers", most)
		}
		counts = append(counts, n)
		return nil
	})
	return counts, err
}

// checkRanges verifies that the tensors' data fill size bytes without gap or overlap, and sorts them by it.
func (h *header) checkRanges(file string, size int64) error {
	slices.SortFunc(h.tensors, func(a, b *Tensor) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.Name, b.Name))
	})
	var end int64
	for _, t := range h.tensors {
		switch {
		case t.end > size:
			return tensorError(file, t.Name, "data_offsets end at byte %d of %d: the file is truncated or the header wrong", t.end, size)
		case t.begin < end:
			return tensorError(file, t.Name, "data_offsets begin at byte %d inside the tensor before, which ends at %d", t.begin, end)
		case t.begin > end:
			return tensorError(file, t.Name, "data_offsets begin at byte %d, but the tensor before ends at %d: the bytes between belong to none", t.begin, end)
		}
		end = t.end
	}
	if end != size {
		return fileError(file, "%d bytes follow the last tensor", size-end)
	}
	return nil
}
