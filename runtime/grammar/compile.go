package grammar

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// Kind says in which way a description is written.
type Kind uint8

// The kinds of descriptions.
const (
	None       Kind = iota
	JSONSchema      // Text is a JSON schema, draft 2020-12
	JSONObject      // any JSON object
	Regex           // Text is a regular expression for the whole output
	EBNF            // Text is a grammar in GBNF, or in the part of Lark that ebnf.go reads
	Choice          // one of Choices
)

// Source is a description of what an output may be. Its zero value is that it may be anything.
type Source struct {
	Kind    Kind
	Text    string
	Choices []string
	Compact bool // of JSON: no white space between tokens
}

// frontEnds make rules of descriptions.
var frontEnds = [...]func(s *Source) (*rule, error){
	JSONSchema: func(s *Source) (*rule, error) { return schemaRule(s.Text, s.Compact) },
	JSONObject: func(s *Source) (*rule, error) { return schemaRule(`{"type":"object"}`, s.Compact) },
	Regex:      func(s *Source) (*rule, error) { return regex(s.Text) },
	EBNF:       func(s *Source) (*rule, error) { return grammarRules(s.Text) },
	Choice:     func(s *Source) (*rule, error) { return choice(s.Choices) },
}

// hash is a digest of the whole description.
func (s *Source) hash() [sha256.Size]byte {
	b := []byte{byte(s.Kind), 0}
	if s.Compact {
		b[1] = 1
	}
	for _, part := range append([]string{s.Text}, s.Choices...) {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}

// Compiler compiles descriptions for one vocabulary and keeps those used last. It may be used by many goroutines, which compile one description at a time.
type Compiler struct {
	vocabulary func() *Vocabulary

	compiling sync.Mutex // held while a description is compiled

	mu     sync.Mutex                          // guards what follows
	kept   map[[sha256.Size]byte]*list.Element // of *entry
	recent list.List                           // used last first
}

type entry struct {
	hash    [sha256.Size]byte
	once    sync.Once // makes what follows
	grammar *Grammar
	err     error

	bytes int64 // of its automata; known once they have been made
}

// NewCompiler returns a compiler; the vocabulary is made when it is first needed.
func NewCompiler(vocabulary func() *Vocabulary) *Compiler {
	return &Compiler{vocabulary: sync.OnceValue(vocabulary), kept: map[[sha256.Size]byte]*list.Element{}}
}

// Compile returns the grammar of a description; nil for None. Errors are of the description: *Error, or they wrap ErrTooLarge.
func (c *Compiler) Compile(s Source) (*Grammar, error) {
	if s.Kind == None {
		return nil, nil
	}
	if int(s.Kind) >= len(frontEnds) {
		return nil, wrong("", "descriptions of kind %d are not known", s.Kind)
	}
	if len(s.Text) > maxSourceBytes {
		return nil, tooLarge("a description of %d bytes: more than %d", len(s.Text), maxSourceBytes)
	}
	e := c.entry(s.hash())
	e.once.Do(func() {
		c.compiling.Lock()
		defer c.compiling.Unlock()
		if e.grammar, e.err = compileSource(c.vocabulary(), &s); e.err == nil {
			c.weigh(e)
		}
	})
	return e.grammar, e.err
}

// entry is what is kept, or will be, of a description.
func (c *Compiler) entry(hash [sha256.Size]byte) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.kept[hash]; at != nil {
		c.recent.MoveToFront(at)
		return at.Value.(*entry)
	}
	e := &entry{hash: hash}
	c.kept[hash] = c.recent.PushFront(e)
	if c.recent.Len() > heldGrammars {
		oldest := c.recent.Back()
		delete(c.kept, c.recent.Remove(oldest).(*entry).hash)
	}
	return e
}

// weigh notes how large a grammar is, and drops those used longest ago where all are too large.
func (c *Compiler) weigh(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.bytes = e.grammar.walker.program.bytes
	total := int64(0)
	for at := c.recent.Front(); at != nil; {
		other, next := at.Value.(*entry), at.Next()
		if total += other.bytes; total > heldPrograms && other != e {
			total -= other.bytes
			delete(c.kept, other.hash)
			c.recent.Remove(at)
		}
		at = next
	}
}

// compileSource compiles a description.
func compileSource(v *Vocabulary, s *Source) (g *Grammar, err error) {
	root, err := frontEnds[s.Kind](s)
	if err != nil {
		return nil, err
	}
	return newGrammar(v, root)
}
