package gpu

// HostMemory gives a driver whose device works when it is told to, and has the host's memory, what drivers need for what they do meanwhile.
type HostMemory struct{}

// Pinned implements Driver.
func (HostMemory) Pinned(_ string, bytes int64) ([]byte, error) { return make([]byte, bytes), nil }

// Send implements Driver.
func (HostMemory) Send(list []Transfer) error {
	for _, t := range list {
		if err := t.To.Write(0, t.Data); err != nil {
			return err
		}
	}
	return nil
}

// Clear implements Driver.
func (HostMemory) Clear(m Memory, offset, bytes int64) error {
	return m.Write(offset, make([]byte, bytes))
}

// Fetch implements Driver.
func (HostMemory) Fetch(to []byte, from Memory, offset int64) error { return from.Read(offset, to) }

// Mark implements Driver.
func (HostMemory) Mark() (Mark, error) { return 0, nil }

// Await implements Driver.
func (HostMemory) Await(Mark) error { return nil }

// Finish implements Driver.
func (HostMemory) Finish() error { return nil }
