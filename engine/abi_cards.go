package engine

import "fmt"

var cardsOfLaunch = intAttr("cards", 2, MaxCards)

// exchangedRows are what rows are exchanged of.
const exchangedRows = "f32 bf16 f16 f32m"

// cudaCards are the kernels of cards that share a model. What card number c has of rows are columns [c*n, (c+1)*n).
var cudaCards = []Kernel{
	{
		Name:  "cuda.own_columns",
		Doc:   "y = the columns of x that are those of the card",
		Roles: []Role{arg("x", "f32", "m k"), input("peers", ""), result("y", "f32", "m n")},
		Attrs: []AttrRow{cardsOfLaunch},
		Where: []string{"k = n*cards"},
		Check: checkCardsOf,
	},
	{
		Name:  "cuda.exchange",
		Doc:   "y = the x of all cards side by side",
		Roles: []Role{arg("x", exchangedRows, "m n"), input("peers", ""), result("y", exchangedRows, "m k")},
		Attrs: []AttrRow{cardsOfLaunch},
		Where: []string{"k = n*cards"},
		Check: checkExchange,
	},
	{
		Name: "cuda.exchange_pair",
		Doc:  "y and y2 = the x and the x2 of all cards side by side",
		Roles: []Role{arg("x", exchangedRows, "m n"), arg("x2", exchangedRows, "m n2"), input("peers", ""),
			result("y", exchangedRows, "m k"), result("y2", exchangedRows, "m k2")},
		Attrs: []AttrRow{cardsOfLaunch},
		Where: []string{"k = n*cards", "k2 = n2*cards"},
		Check: checkExchange,
	},
}

func checkCardsOf(b *Bound) error {
	if have, want := b.Launch.Int("cards", 0), int64(b.scope.program.Cards); have != want {
		return fmt.Errorf("it is for %d cards, the program for %d", have, want)
	}
	return nil
}

// checkExchange also wants results of what they are put together of.
func checkExchange(b *Bound) error {
	for _, pair := range [][2]string{{"x", "y"}, {"x2", "y2"}} {
		x, y := b.Buffer(pair[0]), b.Buffer(pair[1])
		if x != nil && x.TypeName() != y.TypeName() {
			return fmt.Errorf("rows of %s make none of %s", x.TypeName(), y.TypeName())
		}
	}
	return checkCardsOf(b)
}

// The table that input "peers" is: what a launch must know of the exchange of rows of its kind. It begins with PeersWords numbers of 32 bits, in the order of the
// fields of Peers; then comes the address of each card's area, 8 bytes each, that of card 0 first.
const PeersWords = 6

// Peers describes the areas in which cards exchange rows of one kind, all alike:
//
//	counts    [Rows] u32: how often the row has been exchanged, which the card that has the area counts
//	arrived   [Rows][cards] u32: how often a card's part of the row has come
//	parts     [2][cards][Rows][RowBytes]: these, of exchanges of even and of odd number
//
// A card writes its part of a row to all others' areas, then says there that it has come, and takes theirs from its own area when they say so. The next
// exchange has the other half of the area: who begins with it knows that all others have begun with this one, and who begins with the one behind that, that
// they have ended this one.
type Peers struct {
	Card     uint32 // number of the card
	Rows     uint32 // there are at most
	RowBytes uint32 // of a card's part of a row, a multiple of 16
	Arrived  uint32 // offset in an area
	Parts    uint32
	_        uint32
}

// Bytes is the size of an area.
func (p *Peers) Bytes(cards int) int64 {
	return int64(p.Parts) + 2*int64(cards)*int64(p.Rows)*int64(p.RowBytes)
}

// NewPeers lays an area out.
func NewPeers(card, cards, rows int, rowBytes int64) Peers {
	round := func(n int64) uint32 { return uint32(roundUp(n, 256)) }
	p := Peers{Card: uint32(card), Rows: uint32(rows), RowBytes: uint32(roundUp(rowBytes, 16))}
	p.Arrived = round(4 * int64(rows))
	p.Parts = p.Arrived + round(4*int64(rows)*int64(cards))
	return p
}
