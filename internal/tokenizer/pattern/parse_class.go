package pattern

// class reads a bracket expression at "[": ranges, escapes, [:posix:], nested classes, and && between operands.
func (p *parser) class() (set, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.pos++
	negated := p.accept('^')
	var current set
	var operands []set // complete operands of &&
	for first := true; ; first = false {
		if !p.more() {
			return nil, p.fail("class without ]")
		}
		if p.peek(']') && !(first && p.closesLater()) {
			p.pos++
			break
		}
		if p.acceptAll("&&") {
			operands = append(operands, current.normalize())
			current = nil
			continue
		}
		s, err := p.classItem()
		if err != nil {
			return nil, err
		}
		current = append(current, s...)
	}
	result := current.normalize()
	for _, s := range operands {
		result = result.intersect(s)
	}
	if p.flags.ignoreCase {
		result = result.fold()
	}
	if negated {
		result = result.negate()
	}
	return result, nil
}

// closesLater reports whether a "]" after the one here ends the class; only then is a leading "]" an ordinary
// character.
func (p *parser) closesLater() bool {
	for i := p.pos + 1; i < len(p.src); i++ {
		if p.src[i] == '\\' {
			i++
		} else if p.src[i] == ']' {
			return true
		}
	}
	return false
}

// classItem reads one nested class, named class, escape, character or range.
func (p *parser) classItem() (set, error) {
	if p.acceptAll("[:") {
		if s, ok, err := p.posixClass(); ok || err != nil {
			return s, err
		}
		p.pos -= 2
	}
	if p.peek('[') {
		return p.class()
	}
	low, s, err := p.classCharacter()
	if err != nil || s != nil {
		return s, err
	}
	if !p.peek('-') || p.at("-]") || p.at("-[") || p.at("-&&") {
		return setOf(low), nil // a hyphen that comes next stands for itself
	}
	p.pos++
	high, s, err := p.classCharacter()
	if err != nil {
		return nil, err
	}
	if s != nil || high < low {
		return nil, p.fail("bad range")
	}
	return set{{low, high}}, nil
}

// classCharacter reads one character or escape; a set when the escape stands for several.
func (p *parser) classCharacter() (rune, set, error) {
	if !p.more() {
		return 0, nil, p.fail("class without ]")
	}
	r := p.src[p.pos]
	if r != '\\' {
		p.pos++
		return r, nil, nil
	}
	p.pos++
	if !p.more() {
		return 0, nil, p.fail("pattern ends with a backslash")
	}
	if p.accept('b') {
		return '\b', nil, nil
	}
	if s, ok, err := p.setEscape(); ok || err != nil {
		return 0, s, err
	}
	r, err := p.characterEscape()
	return r, nil, err
}

// posixClass reads the rest of [:name:]; what only looks like one is left alone.
func (p *parser) posixClass() (set, bool, error) {
	start := p.pos
	negated := p.accept('^')
	name := p.pos
	for p.more() && p.src[p.pos] >= 'a' && p.src[p.pos] <= 'z' {
		p.pos++
	}
	s, ok := posix(string(p.src[name:p.pos]))
	if !ok || !p.acceptAll(":]") {
		p.pos = start
		return nil, false, nil
	}
	if negated {
		s = s.negate()
	}
	return s, true, nil
}
