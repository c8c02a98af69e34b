package gguf

import (
	"slices"

	"llmc/compiler/hf"
	"llmc/compiler/stored"
	"llmc/internal/quant"
)

// headDim returns the channels of a head.
func (m *model) headDim(config *hf.Object) int64 {
	f := config.Fields()
	if f.Has(headDimKey) {
		return f.IntOr(headDimKey, 0, 2, 1<<20)
	}
	return f.IntOr("hidden_size", 0, 1, 1<<20) / max(1, f.IntOr("num_attention_heads", 1, 1, 1<<20))
}

// Names of the tensors that a tied head is about.
const (
	tableTensor = "token_embd.weight"
	headTensor  = "output.weight"
)

// tensors gives all tensors their names and orders of rows. A head that is the table of embeddings gets a name of its own where it can be multiplied in digits, in which no row
// can be looked up.
func (m *model) tensors(config *hf.Object) ([]*tensor, error) {
	var all []*tensor
	dim := m.headDim(config)
	coded := slices.ContainsFunc(m.files, func(f *file) bool {
		return slices.ContainsFunc(f.infos, func(t tensorInfo) bool { return t.isCoded() })
	})
	for _, f := range m.files {
		for i := range f.infos {
			info := &f.infos[i]
			if info.name == frequencies {
				continue
			}
			names := []string{info.name}
			if info.name == tableTensor && info.kind.digits != nil && m.tensor(headTensor) == nil {
				names = append(names, headTensor)
			}
			for _, name := range names {
				t, err := m.newTensor(f, info, dim, coded, name)
				if err != nil {
					return nil, info.errorf(f.Name, "%w", err)
				}
				all = append(all, t)
			}
		}
	}
	return all, nil
}

// tensor is one of the checkpoint's with what it is read from; matrix is nil for plain numbers.
type tensor struct {
	*hf.Tensor
	rows   *rows
	matrix *stored.Matrix
	table  bool // whose rows are looked up
}

// newTensor makes a tensor under the name that transformers has for what files call name.
func (m *model) newTensor(f *file, info *tensorInfo, dim int64, coded bool, name string) (*tensor, error) {
	paired, err := m.family.headDim(info, dim)
	if err != nil {
		return nil, err
	}
	t := &tensor{rows: newRows(f.Mapped, info, paired), table: name == tableTensor}
	t.Tensor = t.rows.tensor(m.family.renamed(name))
	if t.matrix, err = t.rows.matrix(coded); err == nil && t.matrix != nil {
		t.WithCodes(t.matrix)
	}
	return t, err
}

// setDigits gives matrices whose codes no kernel reads as they are the digits of these.
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
