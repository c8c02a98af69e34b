// Package calib measures how well a plan keeps to its model: perplexity, and divergence from the unquantized model. It runs
// models through engine.Model and knows no device.
package calib

import (
	"context"
	"fmt"
	"math"

	"llmc/engine"
)

// The protocol of llama.cpp's perplexity tool: windows of Window tokens, the first half is context only, the second half is scored.
// A text shorter than a window is one window of its own length.
const (
	Window  = 512
	Windows = 64 // at most
)

// Quality is what an evaluation finds. The reference figures are absent when there is no reference.
type Quality struct {
	PPL    float64  `json:"ppl"`
	PPLRef *float64 `json:"ppl_ref,omitempty"`
	KL     *float64 `json:"kl,omitempty"`   // mean Kullback-Leibler divergence of the plan from the reference, nats
	Top1   *float64 `json:"top1,omitempty"` // share of positions where both have the same most likely token
	Tokens int      `json:"tokens"`         // positions scored
}

// Evaluate scores ids on model, and compares with reference unless that is nil. progress is called after each window.
func Evaluate(ctx context.Context, model, reference engine.Model, vocab int, ids []int32, progress func(done, total int)) (*Quality, error) {
	if len(ids) < 2 {
		return nil, fmt.Errorf("the text has %d tokens, at least 2 are needed to score one", len(ids))
	}
	window := min(len(ids), Window)
	windows := min(len(ids)/window, Windows)
	e := evaluation{vocab: vocab}
	for w := range windows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		of := ids[w*window : (w+1)*window]
		if err := e.score(model, reference, scored{ids: of, first: window/2 - 1, next: of[window/2:]}); err != nil {
			return nil, fmt.Errorf("window %d: %w", w, err)
		}
		if progress != nil {
			progress(w+1, windows)
		}
	}
	return e.quality(reference != nil), nil
}

type evaluation struct {
	vocab           int
	reference       [][]float32 // logits of the scored positions of a window
	nll, refNLL, kl float64
	same, n         int
}

// scored is a sequence whose tokens are scored.
type scored struct {
	text  []int32 // that it attends to; nil: none
	ids   []int32
	first int     // position whose logits are of the first token that is scored
	next  []int32 // tokens that are scored, in order
}

// predicts tells whether a position's logits are of a token that is scored.
func (s *scored) predicts(position int) bool {
	return position >= s.first && position-s.first < len(s.next)
}

func (e *evaluation) score(model, reference engine.Model, s scored) error {
	at := 0
	if reference != nil {
		err := engine.ForwardText(reference, e.vocab, s.text, s.ids, s.predicts, func(position int, logits []float32) error {
			if at == len(e.reference) {
				e.reference = append(e.reference, make([]float32, e.vocab))
			}
			copy(e.reference[at], logits)
			at++
			return nil
		})
		if err != nil {
			return fmt.Errorf("reference: %w", err)
		}
	}
	at = 0
	return engine.ForwardText(model, e.vocab, s.text, s.ids, s.predicts, func(position int, logits []float32) error {
		next := s.next[position-s.first]
		lse := logSumExp(logits)
		e.nll += lse - float64(logits[next])
		e.n++
		if reference != nil {
			e.compare(logits, e.reference[at], lse, next)
			at++
		}
		if math.IsNaN(lse) || math.IsInf(lse, 0) {
			return fmt.Errorf("position %d: logits are not finite", position)
		}
		return nil
	})
}

// compare adds one position's divergence of logits p from the reference q.
func (e *evaluation) compare(p, q []float32, lseP float64, next int32) {
	lseQ := logSumExp(q)
	e.refNLL += lseQ - float64(q[next])
	kl, bestP, bestQ := 0.0, 0, 0
	for i, x := range q {
		logQ := float64(x) - lseQ
		if logQ > -40 {
			kl += math.Exp(logQ) * (logQ - (float64(p[i]) - lseP))
		}
		if x > q[bestQ] {
			bestQ = i
		}
		if p[i] > p[bestP] {
			bestP = i
		}
	}
	e.kl += kl
	if bestP == bestQ {
		e.same++
	}
}

func (e *evaluation) quality(compared bool) *Quality {
	n := float64(e.n)
	q := &Quality{PPL: math.Exp(e.nll / n), Tokens: e.n}
	if compared {
		ref, kl, top1 := math.Exp(e.refNLL/n), e.kl/n, float64(e.same)/n
		q.PPLRef, q.KL, q.Top1 = &ref, &kl, &top1
	}
	return q
}

func logSumExp(x []float32) float64 {
	most := float32(math.Inf(-1))
	for _, v := range x {
		most = max(most, v)
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v - most))
	}
	return float64(most) + math.Log(sum)
}
