package hf

import "iter"

// Strided says which rows of a stack of matrices a tensor has: of each of Count matrices of Total rows of Cols elements, Rows of them, the first of which is
// First, Step apart.
type Strided struct {
	Count, Total, Cols int64
	First, Step, Rows  int64
	Turned             bool // the matrices are stored as [Cols, Total]
}

// StridedRun is rows of one matrix that are Step apart.
type StridedRun struct{ Matrix, First, Rows int64 }

// Runs cuts rows [lo, hi), counted through all matrices, into runs.
func (s *Strided) Runs(lo, hi int64) iter.Seq[StridedRun] {
	return func(yield func(StridedRun) bool) {
		for lo < hi {
			matrix, row := lo/s.Rows, lo%s.Rows
			n := min(hi-lo, s.Rows-row)
			if !yield(StridedRun{matrix, s.First + row*s.Step, n}) {
				return
			}
			lo += n
		}
	}
}

// Span is how many rows of a matrix lie between the first and the last of n, both included.
func (s *Strided) Span(n int64) int64 { return (n-1)*s.Step + 1 }

// check wants rows that are there, of a tensor that has all of the stack.
func (s *Strided) check(of *Tensor) error {
	inside := s.Count > 0 && s.Cols > 0 && s.Rows > 0 && s.Step > 0 && s.First >= 0 && s.First+s.Span(s.Rows) <= s.Total
	if !inside || of.Elements() != s.Count*s.Total*s.Cols {
		return of.Errorf("has shape %v; rows %d:%d of %d matrices of %d x %d are asked for", of.Shape, s.First, s.First+s.Step*s.Rows, s.Count, s.Total, s.Cols)
	}
	return nil
}

// PutStrided adds a tensor of the given name and shape whose rows are those of another one that s names. Its numbers are read from there each time.
func (c *Checkpoint) PutStrided(name string, of *Tensor, s Strided, shape ...int64) error {
	if err := s.check(of); err != nil {
		return err
	}
	t := &Tensor{Name: name, DType: of.DType, Stored: of.Stored, Shape: shape, file: of.file, rows: stridedRows{of, s}}
	c.weights.byName[name] = t
	return nil
}

// stridedRows gives the rows of a Strided.
type stridedRows struct {
	of *Tensor
	Strided
}

func (s stridedRows) readRows(_ *Tensor, dst []float32, first int64) error {
	lo, hi := first/s.Cols, (first+int64(len(dst))+s.Cols-1)/s.Cols
	rows := dst
	if (hi-lo)*s.Cols != int64(len(dst)) { // parts of rows
		rows = make([]float32, (hi-lo)*s.Cols)
	}
	to := rows
	for run := range s.Runs(lo, hi) {
		read := s.straight
		if s.Turned {
			read = s.turned
		}
		if err := read(to[:run.Rows*s.Cols], run); err != nil {
			return err
		}
		to = to[run.Rows*s.Cols:]
	}
	if len(rows) > len(dst) {
		copy(dst, rows[first-lo*s.Cols:])
	}
	return nil
}

// straight reads a run of a matrix whose rows lie as they are.
func (s stridedRows) straight(dst []float32, run StridedRun) error {
	at := (run.Matrix*s.Total + run.First) * s.Cols
	if s.Step == 1 {
		return s.of.rows.readRows(s.of, dst, at)
	}
	for ; len(dst) > 0; dst, at = dst[s.Cols:], at+s.Step*s.Cols {
		if err := s.of.rows.readRows(s.of, dst[:s.Cols], at); err != nil {
			return err
		}
	}
	return nil
}

// turned reads a run of a matrix whose columns are stored as rows.
func (s stridedRows) turned(dst []float32, run StridedRun) error {
	part := make([]float32, s.Span(run.Rows))
	for k := range s.Cols {
		if err := s.of.rows.readRows(s.of, part, (run.Matrix*s.Cols+k)*s.Total+run.First); err != nil {
			return err
		}
		for r := range run.Rows {
			dst[r*s.Cols+k] = part[r*s.Step]
		}
	}
	return nil
}

func (s stridedRows) readBytes(t *Tensor, _ []byte, _ int64) error {
	return t.Errorf("is made of rows of %q and has no bytes of its own", s.of.Name)
}
