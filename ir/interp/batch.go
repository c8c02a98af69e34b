package interp

// Batch is the ragged input of one step: T tokens of any number of sequences, of which some rows are sampled.
type Batch struct {
	IDs       []int32 // [T]
	Positions []int32 // [T] position of each token in its sequence
	RopeLen   []int32 // [T] max(prompt length of the sequence, position+1)
	Seq       []int   // [T] the sequence that each token belongs to; any numbers
	Rows      []int32 // [R] tokens whose logits are wanted
	Types     []int32 // [T] types of tokens; nil: all 0

	// Inputs are further parameters of the function, by name.
	Inputs map[string]Tensor
}

// Add appends the tokens ids of sequence seq, the first at position start. promptLen is the length of the sequence's prompt.
func (b *Batch) Add(seq, start, promptLen int, ids ...int32) {
	for i, id := range ids {
		position := start + i
		b.IDs = append(b.IDs, id)
		b.Positions = append(b.Positions, int32(position))
		b.RopeLen = append(b.RopeLen, int32(max(promptLen, position+1)))
		b.Seq = append(b.Seq, seq)
	}
}

// types returns the types of all tokens.
func (b *Batch) types() []int32 {
	if b.Types != nil {
		return b.Types
	}
	return make([]int32, len(b.IDs))
}

// seqStart returns the first row of each sequence, and the number of all rows: a sequence begins where the token before is another one's.
func (b *Batch) seqStart() []int32 {
	starts := []int32{}
	for i, seq := range b.Seq {
		if i == 0 || seq != b.Seq[i-1] {
			starts = append(starts, int32(i))
		}
	}
	return append(starts, int32(len(b.IDs)))
}

// context returns how many positions the sequence of token m has once the batch has run.
func (b *Batch) context(m int) int {
	most := int32(-1)
	for i, seq := range b.Seq {
		if seq == b.Seq[m] {
			most = max(most, b.Positions[i])
		}
	}
	return int(most) + 1
}

// Sample asks for the logits of the token added last.
func (b *Batch) Sample() { b.Rows = append(b.Rows, int32(len(b.IDs)-1)) }

// SampleAll asks for the logits of every token.
func (b *Batch) SampleAll() {
	b.Rows = nil
	for i := range b.IDs {
		b.Rows = append(b.Rows, int32(i))
	}
}

// Tensor is a value: a matrix of numbers or of indices.
type Tensor struct {
	Rows, Cols int
	Data       []float32 // [Rows, Cols]
	Index      []int32   // [Rows, Cols]; Data is nil then
}

// Row returns row r of a matrix.
func (t Tensor) Row(r int) []float32 { return t.Data[r*t.Cols : (r+1)*t.Cols] }

func newTensor(rows, cols int) Tensor {
	return Tensor{Rows: rows, Cols: cols, Data: make([]float32, rows*cols)}
}

func indices(values []int32) Tensor { return Tensor{Rows: len(values), Cols: 1, Index: values} }
