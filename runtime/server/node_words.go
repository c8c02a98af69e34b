package server

// nodeWords words answers of the generate extension of models with a Node. What was complete before the text came is with its first part.
type nodeWords struct {
	in     *inferRequest
	answer *nodeAnswer
	before []byte // members
	begun  bool
}

// object appends an answer with what was complete before, the first time, and more.
func (d *nodeWords) object(dst []byte, more []outputTensor) []byte {
	dst = append(dst, '{')
	if d.in.id != "" {
		dst = append(appendQuoted(append(dst, `"id":`...), d.in.id), ',')
	}
	dst = appendQuoted(append(dst, `"model_name":`...), d.answer.model.Name)
	dst = appendQuoted(append(dst, `,"model_version":`...), d.answer.model.Version)
	if !d.begun {
		dst = append(dst, d.before...)
	}
	d.begun = true
	return append(appendMembers(dst, more), '}')
}

func (d *nodeWords) event(dst []byte, more []outputTensor) []byte {
	return append(d.object(append(dst, "data: "...), more), "\n\n"...)
}

// appendMembers appends outputs, each behind a comma: a value where there is one element, else an array.
func appendMembers(dst []byte, list []outputTensor) []byte {
	for i := range list {
		o := &list[i]
		n := 1
		for _, size := range o.shape {
			n *= size
		}
		dst = append(appendQuoted(append(dst, ','), o.name), ':')
		if n != 1 {
			dst = append(dst, '[')
		}
		dst = o.appendData(dst)
		if n != 1 {
			dst = append(dst, ']')
		}
	}
	return dst
}

func (d *nodeWords) begin(dst []byte, _ *batch) []byte { return dst }

func (d *nodeWords) arrival(dst []byte, b *batch, c *choice, p piece) []byte {
	text := p.text
	if !d.begun && !b.req.excludeInput {
		text = c.prompt.text + text
	}
	if text == "" && c.finish == "" {
		return dst
	}
	return d.event(dst, d.answer.live.part(text, c))
}

func (d *nodeWords) end(dst []byte, _ *batch) []byte { return dst }

func (d *nodeWords) failure(dst []byte, e *apiError) []byte {
	return append(appendQuoted(append(dst, `data: {"error":`...), e.message), "}\n\n"...)
}

func (d *nodeWords) whole(dst []byte, _ *batch) []byte { return d.object(dst, nil) }
