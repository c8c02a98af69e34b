package reply

// Arguments returns a parser for a reply that is the arguments of one call and nothing else.
func Arguments(name string) *Parser {
	p := &Parser{}
	p.state = func(p *Parser) bool {
		if p.calls == 0 {
			p.call(name)
		}
		p.arguments(p.text)
		p.text = ""
		return false
	}
	return p
}

// listed is the form of replies that are a list of calls.
var listed = callFormat{body: (*Parser).jsonCalls}

// List returns a parser for a reply that is a JSON array of calls, objects with name and parameters.
func List() *Parser {
	return &Parser{format: Format{calls: &listed}, calling: true, state: (*Parser).jsonCalls}
}
