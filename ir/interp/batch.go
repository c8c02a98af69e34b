package interp

// Batch is the ragged input of one step: T tokens of any number of sequences, of which some rows are sampled.
type Batch struct {
	IDs       []int32 // [T]
	Positions []int32 // [T] position of each token in its sequence
	RopeLen   []int32 // [T] max(prompt length of the sequence, position+1)
	Seq       []int   // [T] the sequence that each token belongs to; any numbers
	Rows      []int32 // [R] tokens whose logits are wanted

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
