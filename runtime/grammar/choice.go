package grammar

import "strings"

// choice is the rule of one text of a list.
func choice(list []string) (*rule, error) {
	total := 0
	var subs []*expr
	for _, s := range list {
		if total += len(s); total > maxSourceBytes {
			return nil, tooLarge("the list: more than %d bytes", maxSourceBytes)
		}
		subs = append(subs, text(strings.ToValidUTF8(s, "\ufffd")))
	}
	if len(subs) == 0 {
		return nil, wrong("", "the list has no choices")
	}
	return &rule{name: "choice", body: alt(subs...)}, nil
}
