package grammar

// mostDeep is how many required properties within each other are searched for contradictions.
const mostDeep = 3

// impossible tells whether surely no value is valid under a conjunction, as far as that is easy to see: types, constants, bounds, and what a required property has of these. What it
// does not see costs alternatives that nothing is written under, never a wrong text.
func (s *schema) impossible(c conjunction) bool {
	key := c.key()
	if known, ok := s.empty[key]; ok {
		return known
	}
	s.empty[key] = false // while it is looked at
	s.peeking++
	out, err := s.contradicts(c)
	s.peeking--
	s.empty[key] = out && err == nil
	return s.empty[key]
}

func (s *schema) contradicts(c conjunction) (bool, error) {
	for _, n := range c {
		if n.refuses {
			return true, nil
		}
	}
	types, err := c.types()
	if err != nil || types == 0 {
		return err == nil, err
	}
	values, finite, err := c.values()
	if err != nil {
		return false, err
	}
	if finite {
		for _, v := range values {
			if ok, err := s.allHold(c, v); ok || err != nil {
				return false, err
			}
		}
		return true, nil
	}
	for _, of := range []struct {
		types typeSet
		empty func(c conjunction) (bool, error)
	}{
		{typeNull, func(c conjunction) (bool, error) { return len(c.words("null").subs) == 0, nil }},
		{typeBoolean, func(c conjunction) (bool, error) { return len(c.words("true", "false").subs) == 0, nil }},
		{typeNumber, func(c conjunction) (bool, error) {
			i, err := c.interval()
			return i.low != nil && i.high != nil && (i.high.at.Cmp(i.low.at) < 0 || i.high.below(i.low)), err
		}},
		{typeString, func(c conjunction) (bool, error) { return crossed(c, "minLength", "maxLength") }},
		{typeArray, s.noArray}, {typeObject, s.noObject},
	} {
		if types&of.types == 0 {
			continue
		}
		if empty, err := of.empty(c); !empty || err != nil {
			return false, err
		}
	}
	return true, nil
}

func crossed(c conjunction, least, most string) (bool, error) {
	low, err := c.count(least, 0, greater)
	if err != nil {
		return false, err
	}
	high, err := c.count(most, -1, smaller)
	return high >= 0 && low > high, err
}

func (s *schema) noArray(c conjunction) (bool, error) {
	if empty, err := crossed(c, "minItems", "maxItems"); empty || err != nil {
		return empty, err
	}
	least, err := c.count("minItems", 0, greater)
	for i := 0; i < min(least, mostDeep) && err == nil; i++ {
		var all []*node
		for _, n := range c {
			if sub := n.item(i); sub != nil {
				all = append(all, sub)
			}
		}
		var empty bool
		if empty, err = s.noValue(all); empty {
			return true, err
		}
	}
	return false, err
}

func (s *schema) noObject(c conjunction) (bool, error) {
	if empty, err := crossed(c, "minProperties", "maxProperties"); empty || err != nil {
		return empty, err
	}
	for _, n := range c {
		names, err := n.requires()
		if err != nil {
			return false, err
		}
		for _, name := range names {
			var all []*node
			for _, other := range c {
				subs, err := other.about(name)
				if err != nil {
					return false, err
				}
				all = append(all, subs...)
			}
			if empty, err := s.noValue(all); empty || err != nil {
				return empty, err
			}
		}
	}
	return false, nil
}

// noValue tells whether nothing is valid under all of some schemas.
func (s *schema) noValue(all []*node) (bool, error) {
	for _, n := range all {
		if n.refuses {
			return true, nil
		}
	}
	if len(all) == 0 || s.deep >= mostDeep {
		return false, nil
	}
	s.deep++
	defer func() { s.deep-- }()
	list, err := s.expandAll(all)
	return len(list) == 0, err
}
