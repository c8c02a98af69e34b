package grammar

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"llmc/runtime/server/strictjson"
)

// holds tells whether a value is valid under a schema. It is asked of values that a schema names itself, and of names of properties.
func (s *schema) holds(n *node, v strictjson.Value) (bool, error) {
	list, err := s.expand(n)
	if err != nil {
		return false, err
	}
	for _, c := range list {
		ok, err := s.allHold(c, v)
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// allHold tells whether a value is valid under a conjunction.
func (s *schema) allHold(c conjunction, v strictjson.Value) (bool, error) {
	if err := s.spend(len(c) + len(v)/64 + 1); err != nil {
		return false, err
	}
	types, err := c.types()
	if err != nil || types&typeOf(v) == 0 {
		return false, err
	}
	known := canonical(v)
	for _, n := range c {
		ok, err := n.lists(known)
		if list, isArray := v.Array(); ok && isArray {
			ok, err = s.itemsHold(n, list)
		}
		if members, isObject := v.Object(); ok && isObject {
			ok, err = s.propertiesHold(n, members)
		}
		if text, isText := v.Text(); ok && isText {
			ok, err = textHolds(n, text)
		}
		if r := exact(v); ok && r != nil {
			ok, err = numberHolds(n, r)
		}
		if !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// lists tells whether "enum", "const" and their opposite leave a value, given as its canonical text.
func (n *node) lists(v string) (bool, error) {
	if n.values == nil && n.keywords["enum"] == nil && n.keywords["const"] == nil && n.keywords["!enum"] == nil {
		return true, nil
	}
	if n.values == nil {
		list, finite, err := conjunction{n}.values()
		if err != nil {
			return false, err
		}
		n.values = &valueSet{finite: finite, in: map[string]bool{}, out: conjunction{n}.excluded()}
		for _, e := range list {
			n.values.in[canonical(e)] = true
		}
	}
	return (!n.values.finite || n.values.in[v]) && n.values.out[v] == nil, nil
}

// valueSet is which values a schema lists, by their canonical texts.
type valueSet struct {
	finite bool
	in     map[string]bool
	out    map[string]strictjson.Value
}

// counts tells whether a count keeps to two keywords.
func (n *node) counts(count int, least, most string) (bool, error) {
	low, _, err := n.count(least)
	if err != nil {
		return false, err
	}
	high, bounded, err := n.count(most)
	return count >= low && (!bounded || count <= high), err
}

func (s *schema) itemsHold(n *node, list []strictjson.Value) (bool, error) {
	ok, err := n.counts(len(list), "minItems", "maxItems")
	counting, err2 := n.counting()
	if !ok || err != nil || err2 != nil {
		return false, firstOf(err, err2)
	}
	found, seen := 0, map[string]bool{}
	for i, v := range list {
		if sub := n.item(i); sub != nil {
			if ok, err := s.holds(sub, v); !ok || err != nil {
				return false, err
			}
		}
		if key := canonical(v); string(n.keywords["uniqueItems"]) == "true" && seen[key] {
			return false, nil
		} else {
			seen[key] = true
		}
		if counting.of != nil && i >= counting.from {
			ok, err := s.holds(counting.of, v)
			if err != nil {
				return false, err
			}
			if ok {
				found++
			}
		}
	}
	return counting.of == nil || found >= counting.least && (counting.most < 0 || found <= counting.most), nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *schema) propertiesHold(n *node, members []strictjson.Member) (bool, error) {
	ok, err := n.counts(len(members), "minProperties", "maxProperties")
	required, err2 := n.requires()
	if !ok || err != nil || err2 != nil {
		return false, firstOf(err, err2)
	}
	there := map[string]bool{}
	witnessed := n.some == nil
	for _, m := range members {
		there[m.Key] = true
		subs, err := n.about(m.Key)
		if err != nil {
			return false, err
		}
		for _, sub := range subs {
			if ok, err := s.holds(sub, m.Value); !ok || err != nil {
				return false, err
			}
		}
		if names := n.one["propertyNames"]; names != nil {
			if ok, err := s.holds(names, jsonString(m.Key)); !ok || err != nil {
				return false, err
			}
		}
		if !witnessed {
			if witnessed, err = s.isWitness(n.some, m); err != nil {
				return false, err
			}
		}
	}
	for _, name := range required {
		if !there[name] {
			return false, nil
		}
	}
	return witnessed, nil
}

func (s *schema) isWitness(w *witness, m strictjson.Member) (bool, error) {
	ok, err := w.may(s, m.Key)
	if ok && err == nil && w.value != nil {
		ok, err = s.holds(w.value, m.Value)
	}
	return ok, err
}

func jsonString(text string) strictjson.Value { return strictjson.Value(quotedJSON(text)) }

func textHolds(n *node, text string) (bool, error) {
	if ok, err := n.counts(utf8.RuneCountInString(text), "minLength", "maxLength"); !ok || err != nil {
		return false, err
	}
	for _, keyword := range []string{"pattern", "!pattern"} {
		source, ok := n.keywords[keyword].Text()
		if !ok {
			continue
		}
		ok, err := n.matchesPattern(source, text)
		if err != nil || ok != (keyword == "pattern") {
			return false, err
		}
	}
	name, _ := n.keywords["format"].Text()
	if source := formats[name]; source != "" {
		return regexp.MustCompile(`^(?s:` + source + `)$`).MatchString(text), nil
	}
	return true, nil
}

// matchesPattern tells whether "pattern" finds something in a text.
func (n *node) matchesPattern(source, text string) (bool, error) {
	looks, rest := lookAhead(source, false)
	re, err := n.compiled("pattern", rest)
	if err != nil || !re.MatchString(text) {
		return false, err
	}
	for _, l := range looks {
		re, err := n.compiled("pattern", "^(?:"+l.source+")")
		if err != nil || re.MatchString(text) != l.wanted {
			return false, err
		}
	}
	return true, nil
}

func numberHolds(n *node, r *big.Rat) (bool, error) {
	i, err := conjunction{n}.interval()
	if err != nil {
		return false, err
	}
	if !i.has(r) {
		return false, nil
	}
	for _, keyword := range []string{"multipleOf", "!multipleOf"} {
		v := n.keywords[keyword]
		if v == nil {
			continue
		}
		of := exact(v)
		if of == nil || of.Sign() <= 0 {
			return false, wrong(n.where, "multipleOf must be a number above 0, of at most %d digits", maxBoundText)
		}
		if new(big.Rat).Quo(r, of).IsInt() != (keyword == "multipleOf") {
			return false, nil
		}
	}
	return true, nil
}

const (
	maxBoundText = 400 // bytes of a number
	maxExponent  = 400
)

// exact is a number as it is; nil: it is none, or takes too many digits.
func exact(v strictjson.Value) *big.Rat {
	if v.Kind() != "number" || len(v) > maxBoundText {
		return nil
	}
	if _, exponent, ok := strings.Cut(strings.ToLower(string(v)), "e"); ok {
		if e, err := strconv.Atoi(exponent); err != nil || e > maxExponent || e < -maxExponent {
			return nil
		}
	}
	r, ok := new(big.Rat).SetString(string(v))
	if !ok {
		return nil
	}
	return r
}
