package engine

import "llmc/internal/sym"

// Step is the ragged batch of one forward pass: T tokens of B sequences, of which R rows are sampled.
// There is no prefill and no decode: each sequence brings the tokens it has to catch up with.
//
// The owner reuses the slices from step to step; a device reads them only until its Step call returns.
type Step struct {
	IDs       []int32 // [T] token ids; FromRow of a row of the step before, for a Starter
	Positions []int32 // [T] position of each token in its sequence
	// RopeLen is max(prompt length of the sequence, position+1), per token, so that rotary embeddings whose
	// frequencies depend on the length give the same numbers however the prompt is cut into chunks. In a sequence that was started
	// anew because it grew into other frequencies, what it had then counts as its prompt.
	RopeLen []int32 // [T]
	Slots   []int32 // [T] where the token's K and V go: page*PageSize + offset; -1 writes nothing (padding)
	// Types are those of tokens in models that have learned embeddings of them, such as which text of a pair a token is of; empty: all 0. In steps of models
	// that read images among their tokens, 1 says that the token's row is that of Soft.
	Types []int32 // [T]
	// Soft are rows instead of tokens, whose ids are 0 then, for functions that read such; T times as many numbers as a row of theirs has.
	Soft []float32

	SeqStart []int32 // [B+1] sequence b owns token rows SeqStart[b] .. SeqStart[b+1]-1
	Context  []int32 // [B] positions of sequence b in the cache once this step has run
	// Pages holds the page table of sequence b at Pages[PageStart[b]:PageStart[b+1]], in order of position.
	Pages     []int32
	PageStart []int32 // [B+1]
	// Adapters are the places of the adapters that sequences have, of an AdapterModel; 0: none. Empty: no sequence has one.
	Adapters []int32 // [B]

	// Encode are the texts that function "encode" caches before this step runs, of sequences whose first tokens come in it; nil or without tokens: none.
	// Its page tables are those that Source names for them.
	Encode *Step
	// Source is where each sequence has what its tokens attend to of a text that has been encoded; without tables in models that do not encode.
	Source Sources

	Rows []Row // [R] in ascending order of Token
	// Drafts asks for the verification of guesses; empty: none were made. Drafts[i] is the guess for the token that row i samples, which
	// the step's next token already carries, so that row i+1 continues it; -1 ends a chain of rows. See Sampled.Accepted.
	Drafts []int32 // [R]
}

// Sources are the page tables of encoded texts.
type Sources struct {
	Length []int32 // [B] positions of sequence b's text
	// Pages holds the page table of sequence b at Pages[Start[b]:Start[b+1]], in order of position.
	Pages []int32
	Start []int32 // [B+1]
}

// Add appends the page table of the next sequence's text.
func (s *Sources) Add(pages []int32, length int) {
	if len(s.Start) == 0 {
		s.Start = append(s.Start, 0)
	}
	s.Pages = append(s.Pages, pages...)
	s.Length, s.Start = append(s.Length, int32(length)), append(s.Start, int32(len(s.Pages)))
}

func (s *Sources) reset() {
	s.Length, s.Pages, s.Start = s.Length[:0], s.Pages[:0], s.Start[:0]
}

// Encodes tells whether texts are to be encoded before the step.
func (s *Step) Encodes() bool { return s.Encode != nil && s.Encode.T() > 0 }

// FromRow stands in IDs for the token that a row of the step before samples, where that is not known yet. See Starter.
func FromRow(row int) int32 { return -1 - int32(row) }

// RowOf is the other way round; ok is false for ids of tokens.
func RowOf(id int32) (row int, ok bool) { return int(-1 - id), id < 0 }

// T returns the number of tokens of the step.
func (s *Step) T() int { return len(s.IDs) }

// B returns the number of sequences of the step.
func (s *Step) B() int { return len(s.Context) }

// Sizes are those that forms of a program's sizes ask for.
func (s *Step) Sizes() sym.Env { return sym.Bind(int64(s.T()), int64(s.B()), int64(len(s.Rows)), 0) }

// Reset empties the step and keeps its memory.
func (s *Step) Reset() {
	s.IDs, s.Positions, s.RopeLen, s.Slots = s.IDs[:0], s.Positions[:0], s.RopeLen[:0], s.Slots[:0]
	s.SeqStart = append(s.SeqStart[:0], 0)
	s.Context, s.Pages, s.Adapters = s.Context[:0], s.Pages[:0], s.Adapters[:0]
	s.PageStart = append(s.PageStart[:0], 0)
	s.Rows, s.Drafts, s.Types, s.Soft = s.Rows[:0], s.Drafts[:0], s.Types[:0], s.Soft[:0]
	s.Source.reset()
	if s.Encode != nil {
		s.Encode.Reset()
	}
}

// EndSequence makes what IDs and Pages got since the sequence before, or since Reset, one more sequence of the step: its tokens from position first on,
// and its page table, whose pages of pageSize positions hold them. promptLen is the length that its prompt counts as; see RopeLen.
func (s *Step) EndSequence(first, promptLen, pageSize int) {
	pages := s.Pages[s.PageStart[s.B()]:]
	position := first
	for ; len(s.Positions) < s.T(); position++ {
		s.Positions = append(s.Positions, int32(position))
		s.RopeLen = append(s.RopeLen, int32(max(promptLen, position+1)))
		s.Slots = append(s.Slots, pages[position/pageSize]*int32(pageSize)+int32(position%pageSize))
	}
	s.SeqStart, s.Context, s.PageStart = append(s.SeqStart, int32(s.T())), append(s.Context, int32(position)), append(s.PageStart, int32(len(s.Pages)))
}

// NextRow asks for the token that comes next in the sequence that was ended last.
func (s *Step) NextRow() Row { return Row{Token: int32(s.T() - 1), Position: s.Context[s.B()-1]} }

// Row asks for one sampled token.
type Row struct {
	Token    int32         // row of the step whose logits are used
	Position int32         // position that the sampled token will have; with the seed it keys the random number
	Sampling *Sampling     // how to choose; nil means greedy
	History  *TokenHistory // tokens seen so far, for penalties; nil when no penalty is set
	Logits   []float32     // [V] receives the raw logits when not nil
}

// Sampled is the answer to one Row.
type Sampled struct {
	Token   int32
	Logprob float32 // natural logarithm of the token's probability; set only if Sampling.Logprobs >= 0
	Top     []TokenLogprob
	// Accepted is how many guesses from this row on, the first of a chain, are what its rows sampled; that many rows further is the token
	// that follows them. 0 in other rows. What is sampled is what sampling one by one would have given: a guess is accepted when equal.
	Accepted int32
}

// TokenLogprob is one alternative of a sampled position.
type TokenLogprob struct {
	Token   int32
	Logprob float32
}
