package grammar

// expr is what a front end writes: a regular expression over bytes that may call rules. Expressions are never changed once they are made, so they may be shared.
type expr struct {
	op       op
	text     string // opText
	words    []string
	set      runeSet
	subs     []*expr
	min, max int // opRepeat; max < 0: any number
	rule     *rule
	graph    *graph
}

type op uint8

const (
	opText   op = iota // the bytes of text; of no bytes: the empty text
	opClass            // one character of set, as UTF-8
	opSeq              // subs one after the other
	opAlt              // one of subs; of no subs: nothing matches
	opRepeat           // subs[0], min to max times
	opCall             // what rule matches
	opGraph            // the ways through graph
	opBoth             // what both subs match; neither calls rules
	opBut              // what subs[0] matches and subs[1] does not; neither calls rules
	opWords            // one of words, in a rule of its own
)

// rule is an expression with a name, which expressions may call before it is known.
type rule struct {
	name string
	body *expr
}

// graph is an automaton whose edges are expressions, for what alternatives and sequences would say at length. Node 0 is its beginning.
type graph struct {
	nodes int
	edges []graphEdge
	final []int
}

type graphEdge struct {
	from, to int
	over     *expr
}

func (g *graph) node() int {
	g.nodes++
	return g.nodes - 1
}

func (g *graph) edge(from, to int, over *expr) {
	g.edges = append(g.edges, graphEdge{from, to, over})
}

var (
	empty   = text("")
	nothing = alt()
)

func text(s string) *expr     { return &expr{op: opText, text: s} }
func class(s runeSet) *expr   { return &expr{op: opClass, set: s} }
func seq(subs ...*expr) *expr { return &expr{op: opSeq, subs: subs} }
func alt(subs ...*expr) *expr { return &expr{op: opAlt, subs: subs} }
func call(r *rule) *expr      { return &expr{op: opCall, rule: r} }
func both(a, b *expr) *expr   { return &expr{op: opBoth, subs: []*expr{a, b}} }
func but(a, b *expr) *expr    { return &expr{op: opBut, subs: []*expr{a, b}} }
func optional(e *expr) *expr  { return repeat(e, 0, 1) }
func repeat(e *expr, min, max int) *expr {
	return &expr{op: opRepeat, subs: []*expr{e}, min: min, max: max}
}
func over(g *graph) *expr { return &expr{op: opGraph, graph: g} }

// one is a character of the ranges given as pairs.
func one(pairs ...rune) *expr { return class(runes(pairs...)) }
