package tokenizer

// A Stream decodes ids one by one. What Next and Flush return joins to what Decode gives for all ids; text comes as soon
// as no later id can change it, in whole characters. A Stream belongs to one goroutine.
type Stream struct {
	t       *Tokenizer
	skip    bool
	stage   stage
	out     output
	failure failure
	token   []byte
}

// NewStream starts a decoding; skipSpecial leaves special tokens out.
func (t *Tokenizer) NewStream(skipSpecial bool) *Stream {
	s := &Stream{t: t, skip: skipSpecial}
	s.stage = &s.out
	for i := len(t.decoders) - 1; i >= 0; i-- {
		s.stage = t.decoders[i].stage(s.stage, &s.failure)
	}
	return s
}

// push decodes an id; false: it has no token.
func (s *Stream) push(id int32) bool {
	token, ok := s.t.Token(id)
	if !ok || s.stage == nil {
		return false
	}
	if s.skip && s.t.added.special[token] {
		return true
	}
	s.token = append(s.token[:0], token...)
	s.stage.put(s.token, true)
	return true
}

// Next takes an id and gives the text that is certain now, often none. An id without a token gives none.
func (s *Stream) Next(id int32) string {
	s.push(id)
	return s.take()
}

// Flush ends the decoding and gives the rest of the text; after it nothing comes.
func (s *Stream) Flush() string {
	if s.stage == nil {
		return ""
	}
	s.stage.close()
	rest := s.take()
	s.stage = nil
	return rest
}

func (s *Stream) take() string {
	text := string(s.out.text)
	s.out.text = s.out.text[:0]
	return text
}
