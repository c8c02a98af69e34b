package gguf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"llmc/compiler/hf"
	"llmc/compiler/stored"
	"llmc/internal/quant"
)

// heads returns the sizes of attention.
func (m *model) heads(config *hf.Object) heads {
	f := config.Fields()
	h := heads{count: f.IntOr(headsKey, 1, 1, 1<<20)}
	h.kv = h.count
	if kv := m.decimal("attention.head_count_kv"); kv >= 1 && kv <= float64(h.count) {
		h.kv = int64(kv)
	}
	if f.Has(headDimKey) {
		h.dim = f.IntOr(headDimKey, 0, 2, 1<<20)
	} else {
		h.dim = f.IntOr(hiddenKey, 0, 1, 1<<20) / max(1, h.count)
	}
	return h
}

// Names of the tensors that a tied head is about.
const (
	tableTensor = "token_embd.weight"
	headTensor  = "output.weight"
)

// tensors gives all tensors their names and orders of rows. A head that is the table of embeddings gets a name of its own where it may be multiplied in digits, in which no row
// can be looked up.
func (m *model) tensors(config *hf.Object) ([]*tensor, error) {
	var all []*tensor
	sizes := m.heads(config)
	coded := slices.ContainsFunc(m.files, func(f *file) bool {
		return slices.ContainsFunc(f.infos, func(t tensorInfo) bool { return t.isCoded() })
	})
	for _, f := range m.files {
		for i := range f.infos {
			info := &f.infos[i]
			if slices.Contains([]string{frequencies, shortFrequencies, longFrequencies}, info.name) || m.scales(info) {
				continue
			}
			parts, err := m.parts(info)
			for k := 0; k < len(parts) && err == nil; k++ {
				var t *tensor
				if t, err = m.newTensor(f, &parts[k], sizes, coded); err == nil {
					all = append(all, t)
				}
			}
			if err != nil {
				return nil, info.errorf(f.Name, "%w", err)
			}
		}
	}
	return all, nil
}

// part is a tensor of the checkpoint's, or several of them, that the file has as one.
type part struct {
	tensorInfo
	name   string // of the file
	expert string // its number, of one expert's matrix
	index  int64  // the same, and how many there are
	count  int64
}

// maxExperts bounds the matrices of one tensor.
const maxExperts = 1 << 12

// parts returns what a tensor of the file is made into.
func (m *model) parts(info *tensorInfo) ([]part, error) {
	row, _ := m.family.row(info.name)
	if row == nil || !strings.Contains(row.to, "%") {
		parts := []part{{tensorInfo: *info, name: info.name}}
		if info.name == tableTensor && info.kind.digits != nil && m.tensor(headTensor) == nil {
			parts = append(parts, part{tensorInfo: *info, name: headTensor})
		}
		return parts, nil
	}
	count := info.shape[0]
	if len(info.shape) < 2 || count > maxExperts {
		return nil, fmt.Errorf("has shape %v; it must hold a matrix, or a bias, for each of up to %d experts", info.shape, maxExperts)
	}
	var parts []part
	for e := range count {
		p := part{tensorInfo: *info, name: info.name, expert: strconv.FormatInt(e, 10), index: e, count: count}
		p.shape, p.bytes = info.shape[1:], info.bytes/count
		p.offset += e * p.bytes
		parts = append(parts, p)
	}
	return parts, nil
}

// tensor is one of the checkpoint's with what it is read from; matrix is nil for plain numbers.
type tensor struct {
	*hf.Tensor
	rows   *rows
	matrix *stored.Matrix
	table  bool // whose rows are looked up
}

// newTensor makes a tensor under the name that transformers has for what files call otherwise.
func (m *model) newTensor(f *file, p *part, sizes heads, coded bool) (*tensor, error) {
	t := &tensor{rows: newRows(f.Mapped, &p.tensorInfo), table: p.name == tableTensor}
	row, _ := m.family.row(p.name)
	var err error
	if p.kind.scaled != nil {
		if t.rows.of, err = m.scaleOf(p.name, p.index, max(1, p.count)); err != nil {
			return nil, err
		}
	}
	if row != nil {
		t.rows.less = row.less
		if row.order != nil {
			if t.rows.order, err = row.order(sizes, p.shape[0]); err != nil {
				return nil, err
			}
		}
	}
	t.Tensor = t.rows.tensor(m.family.renamed(p.name, p.expert))
	if t.matrix, err = t.rows.matrix(coded); err == nil && t.matrix != nil {
		t.WithCodes(t.matrix)
	}
	return t, err
}

// setDigits gives matrices whose codes not all kernels read as they are the digits of these.
func setDigits(c *hf.Checkpoint, all []*tensor) error {
	format, err := quant.Find(digitFormat)
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.matrix != nil && !t.table && t.rows.info.kind.digits != nil {
			t.matrix.SetDigits(c, t.Name, format, digitRows{t.rows, format})
		}
	}
	return nil
}
