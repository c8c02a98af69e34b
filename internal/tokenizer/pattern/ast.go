package pattern

// A node is a piece of a parsed regular expression.
type node interface{}

type (
	// one matches a single code point of the set.
	one struct{ set set }
	// sequence matches its parts one after the other.
	sequence []node
	// choice matches the first alternative that lets the whole succeed.
	choice []node
	// repeat matches its body min to max times; max < 0: no upper bound.
	repeat struct {
		body     node
		min, max int
		mode     repeatMode
	}
	// group is a parenthesis; open is its .NET spelling, such as "(?=".
	group struct {
		open string
		body node
	}
	// assertion matches the empty string; text is its .NET spelling.
	assertion struct{ text string }
)

type repeatMode uint8

const (
	greedy repeatMode = iota
	lazy
	possessive
)
