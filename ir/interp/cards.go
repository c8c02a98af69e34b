package interp

import (
	"errors"
	"slices"

	"llmc/ir"
)

// Card makes a machine one of those that run a module together: see ir.Module.Cards.
type Card struct {
	Number int
	// Exchange takes what this card has of some values, and gives what all cards have of each, in their order. It waits for the others.
	Exchange func(own []Tensor) (all [][]Tensor)
}

var errAlone = errors.New("what cards exchange needs the other cards: set Machine.Card")

// ownColumns keeps the card's share.
func (c *call) ownColumns() error {
	if c.Card == nil {
		return errAlone
	}
	x := c.arg("x")
	n := x.Cols / c.int("cards")
	c.give(columns(x, c.Card.Number*n, n))
	return nil
}

// exchange puts the values of all cards side by side.
func (c *call) exchange() error {
	if c.Card == nil {
		return errAlone
	}
	var own []Tensor
	for i := range c.op.Args {
		own = append(own, c.values[c.op.Args[i]])
	}
	for _, parts := range c.Card.Exchange(own) {
		y := Tensor{Rows: parts[0].Rows}
		for _, p := range parts {
			y.Cols += p.Cols
		}
		for row := range y.Rows {
			for _, p := range parts {
				y.Data = append(y.Data, p.Data[row*p.Cols:(row+1)*p.Cols]...)
			}
		}
		c.give(y)
	}
	return nil
}

// partOf keeps what a card has of a whole weight.
func (card *Card) partOf(w *ir.Weight, cards int64, whole []float32) ([]float32, error) {
	if card == nil {
		return nil, errAlone
	}
	_, cols, _ := w.Type.Matrix()
	if w.Part.Columns {
		var data []float32
		for at := int64(card.Number) * cols; at < int64(len(whole)); at += cards * cols {
			data = append(data, whole[at:at+cols]...)
		}
		return data, nil
	}
	matrices := int64(1)
	switch dims := w.Type.Dims; len(dims) {
	case 1:
		cols = 1
	case 3:
		matrices, _ = dims[0].IsConst()
	}
	var data []float32
	for _, run := range w.Part.Rows(matrices, cards, int64(card.Number)) {
		data = append(data, whole[run[0]*cols:run[1]*cols]...)
	}
	return slices.Clip(data), nil
}
