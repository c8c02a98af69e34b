package calib

// Room is numbers in a file that is mapped, so that they take no anonymous memory.
type Room struct{ file *scratchFile }

// NewRoom makes room for n numbers in a file in dir.
func NewRoom(dir string, n int64) (*Room, error) {
	file, err := newScratchFile(dir, "", n)
	if err != nil {
		return nil, err
	}
	return &Room{file}, nil
}

// Numbers are those, zeros at first.
func (r *Room) Numbers() []float32 { return r.file.numbers }

// Close gives the file back; its numbers are not there any more.
func (r *Room) Close() error { return r.file.close() }
