package ir

import (
	"fmt"

	"llmc/internal/sym"
)

// MaxCards bounds how many GPUs run a module together.
const MaxCards = 16

var cardsAttr = AttrInfo{Name: "cards", Kind: Int, Min: 2, Doc: "cards that run the module together"}

// cardOps are what GPUs that share a model have beside it: see Module.Cards. Each has some columns of some values, those of card 0 first.
var cardOps = []*OpInfo{
	{
		Name: "own_columns", Doc: "y = the columns of x that this card works on: of cards equal parts of them the one with its number.",
		Args: []ArgInfo{argX}, Attrs: []AttrInfo{cardsAttr},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeOwnColumns,
	},
	{
		Name: "exchange", Doc: "y = the x of all cards side by side.",
		Args: []ArgInfo{argInput}, Attrs: []AttrInfo{cardsAttr},
		Results: []string{"y"}, Flags: RowWise, Shape: shapeExchange,
	},
	{
		Name: "exchange_pair", Doc: "y and y2 = those of exchange of x and of x2: two values that are there at the same time cross the bus together.",
		Args: []ArgInfo{argInput, {Name: "x2", Role: RoleInput}}, Attrs: []AttrInfo{cardsAttr},
		Results: []string{"y", "y2"}, Flags: RowWise, Shape: shapeExchange,
	},
}

func checkCards(m *Module, op *Op) error {
	if n := op.Int("cards"); n != m.Cards {
		return fmt.Errorf("cards is %d, and the module is for %d", n, m.Cards)
	}
	return nil
}

func shapeOwnColumns(m *Module, op *Op) ([]Type, error) {
	x, cards := op.Arg("x"), op.Int("cards")
	if cols(x)%cards != 0 {
		return nil, fmt.Errorf("%d cards do not share %d columns evenly", cards, cols(x))
	}
	return []Type{F32(x.Type.Rows(), cols(x)/cards)}, checkCards(m, op)
}

func shapeExchange(m *Module, op *Op) (types []Type, err error) {
	for _, x := range op.Args {
		t := x.Type
		if base, _ := SplitQuant(t.Quant); base != "" && base != MaximaFormat {
			return nil, fmt.Errorf("rows of %v can not be put side by side", t)
		}
		t.Dims = []sym.Dim{t.Rows(), sym.Const(cols(x) * op.Int("cards"))}
		types = append(types, t)
	}
	return types, firstError(checkCards(m, op), sameRows(op.Args...))
}
