package engine

import (
	"errors"
	"fmt"
	"math"
)

// check refuses what would make serving index or allocate by a number that can not be right.
func (m *ModelInfo) check() error {
	sizes := []struct {
		name      string
		value     int
		low, high int
	}{
		{"vocab", m.Vocab, 1, 1 << 28}, {"hidden", m.Hidden, 0, 1 << 24}, {"layers", m.Layers, 0, 1 << 16}, {"heads", m.Heads, 0, 1 << 16},
		{"kv_heads", m.KVHeads, 0, 1 << 16}, {"head_dim", m.HeadDim, 0, 1 << 16}, {"max_context", m.MaxContext, 1, math.MaxInt32},
		{"bos", int(m.BOS), -1, m.Vocab - 1}, {"lora_rank", m.LoraRank, 0, MaxAdapterRank},
	}
	for _, s := range sizes {
		if s.value < s.low || s.value > s.high {
			return fmt.Errorf("%s is %d, outside %d to %d", s.name, s.value, s.low, s.high)
		}
	}
	for _, id := range m.EOS {
		if id < 0 || int(id) >= m.Vocab {
			return fmt.Errorf("eos token %d is not in the vocabulary of %d", id, m.Vocab)
		}
	}
	if len(m.EOS) > m.Vocab {
		return fmt.Errorf("%d eos tokens for a vocabulary of %d", len(m.EOS), m.Vocab)
	}
	if err := m.checkSource(); err != nil {
		return err
	}
	g := &m.Generation
	for _, f := range []*float32{g.Temperature, g.TopP, g.MinP, g.RepetitionPenalty} {
		if f != nil && (math.IsNaN(float64(*f)) || math.IsInf(float64(*f), 0)) {
			return fmt.Errorf("generation default of %v", *f)
		}
	}
	if m.Parameters < 0 || math.IsNaN(m.BitsPerW) || m.BitsPerW < 0 {
		return fmt.Errorf("%d parameters of %v bits", m.Parameters, m.BitsPerW)
	}
	if m.Encoder != nil {
		if err := m.Encoder.check(m); err != nil {
			return err
		}
	}
	if m.Adapter != nil {
		if err := m.Adapter.check(); err != nil {
			return err
		}
	}
	if m.Image != nil {
		if err := m.Image.Check(); err != nil {
			return err
		}
		if rows := m.Image.Rows(); rows > m.MaxContext {
			return fmt.Errorf("images of %d rows in a context of %d", rows, m.MaxContext)
		}
	}
	if err := m.checkInsert(); err != nil {
		return err
	}
	return checkName(m.Name + m.Family + m.Quant + m.RopeSalt)
}

// maxStart bounds the tokens that outputs begin and end with.
const maxStart = 64

func (m *ModelInfo) checkSource() error {
	if m.Source == nil {
		return nil
	}
	if len(m.Source.Start) == 0 {
		return errors.New("no token that an output comes behind")
	}
	for _, list := range [][]int32{m.Source.Start, m.Source.First, m.Source.Last} {
		if len(list) > maxStart || len(list) >= m.MaxContext {
			return fmt.Errorf("%d tokens that outputs begin or end with, at most %d", len(list), maxStart)
		}
		for _, id := range list {
			if id < 0 || int(id) >= m.Vocab {
				return fmt.Errorf("token %d, which outputs begin or end with, is not in the vocabulary of %d", id, m.Vocab)
			}
		}
	}
	return nil
}
