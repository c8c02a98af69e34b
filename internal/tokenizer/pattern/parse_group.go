package pattern

// parenthesis reads a group, a lookaround, an option setting or a comment.
func (p *parser) parenthesis() (node, error) {
	for _, kind := range []struct{ open, print string }{
		{"(?:", "(?:"}, {"(?=", "(?="}, {"(?!", "(?!"}, {"(?>", "(?>"}, {"(?<=", "(?<="}, {"(?<!", "(?<!"},
	} {
		if p.acceptAll(kind.open) {
			return p.body(kind.print)
		}
	}
	switch {
	case p.acceptAll("(?#"):
		for p.more() && !p.peek(')') {
			p.pos++
		}
		if !p.accept(')') {
			return nil, p.fail("comment without )")
		}
		return nil, nil
	case p.at("(?<") || p.at("(?'") || p.at("(?P") || p.at("(?(") || p.at("(?~") || p.at("(?{") || p.at("(*"):
		return nil, p.fail("group %q is not supported", string(p.src[p.pos:min(p.pos+3, len(p.src))]))
	case p.acceptAll("(?"):
		return p.options()
	}
	p.pos++
	return p.body("(")
}

// body reads the inside of a group and its closing parenthesis; options set inside end there.
func (p *parser) body(open string) (node, error) {
	saved := p.flags
	defer func() { p.flags = saved }()
	n, err := p.choice()
	if err != nil {
		return nil, err
	}
	if !p.accept(')') {
		return nil, p.fail("group without )")
	}
	return group{open, n}, nil
}

// options reads what follows "(?": letters, then ")" (for the rest of the enclosing group, alternatives
// included) or ":" and a body.
func (p *parser) options() (node, error) {
	saved, on := p.flags, true
	for p.more() {
		switch r := p.src[p.pos]; r {
		case '-':
			on = false
		case 'i':
			p.flags.ignoreCase = on
		case 'm':
			p.flags.dotAll = on
		case 'x':
			p.flags.extended = on
		case ':':
			p.pos++
			n, err := p.body("(?:")
			p.flags = saved
			return n, err
		case ')':
			p.pos++
			n, err := p.choice()
			p.flags = saved
			return group{"(?:", n}, err
		default:
			return nil, p.fail("option %c is not supported", r)
		}
		p.pos++
	}
	return nil, p.fail("group without )")
}
