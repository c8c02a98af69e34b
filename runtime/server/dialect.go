package server

// dialect is how an API words what a request's generations give. A value serves one request.
type dialect interface {
	// begin appends the events of a stream that need no token.
	begin(dst []byte, b *batch) []byte
	// arrival appends the events of one step of a choice, which may be its last: then c.finish is set.
	arrival(dst []byte, b *batch, c *choice, p piece) []byte
	// end appends what follows the last choice of a stream.
	end(dst []byte, b *batch) []byte
	// failure appends the event of an error; the status of the stream has been sent long ago.
	failure(dst []byte, e *apiError) []byte
	// whole appends the answer that is not streamed.
	whole(dst []byte, b *batch) []byte
}

// speaking makes the dialect for a request, which has been taken.
type speaking func(s *Server, r *request) dialect
