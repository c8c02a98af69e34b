package grammar

import (
	"strings"

	"llmc/runtime/server/strictjson"
)

// keywordRule says what is done with a keyword.
type keywordRule uint8

const (
	unknown    keywordRule = iota
	used                   // by the rules
	annotation             // says nothing about what is valid
	unsupported
)

// keywords are those of draft 2020-12, of those before it that are still written, and of OpenAPI.
var keywords = map[string]keywordRule{
	"$ref": used, "allOf": used, "anyOf": used, "oneOf": used,
	"type": used, "enum": used, "const": used, "nullable": used,
	"properties": used, "required": used, "additionalProperties": used, "patternProperties": used, "propertyNames": used, "minProperties": used, "maxProperties": used,
	"prefixItems": used, "items": used, "minItems": used, "maxItems": used,
	"minLength": used, "maxLength": used, "pattern": used, "format": used,
	"minimum": used, "maximum": used, "exclusiveMinimum": used, "exclusiveMaximum": used, "multipleOf": used,

	"$schema": annotation, "$comment": annotation, "$defs": annotation, "definitions": annotation, "$vocabulary": annotation,
	"title": annotation, "description": annotation, "default": annotation, "deprecated": annotation, "readOnly": annotation, "writeOnly": annotation,
	"example": annotation, "examples": annotation, "contentEncoding": annotation, "contentMediaType": annotation, "contentSchema": annotation,
	"discriminator": annotation, "externalDocs": annotation, "xml": annotation,

	"$id": unsupported, "$anchor": unsupported, "$dynamicRef": unsupported, "$dynamicAnchor": unsupported, "$recursiveRef": unsupported, "$recursiveAnchor": unsupported,
	"not": unsupported, "if": unsupported, "then": unsupported, "else": unsupported, "dependentSchemas": unsupported, "dependentRequired": unsupported, "dependencies": unsupported,
	"contains": unsupported, "minContains": unsupported, "maxContains": unsupported, "uniqueItems": unsupported, "additionalItems": unsupported,
	"unevaluatedItems": unsupported, "unevaluatedProperties": unsupported,
}

// take reads one keyword.
func (n *node) take(m strictjson.Member) error {
	what := keywords[m.Key]
	switch {
	case m.Key == "$id" && n.where == "#", strings.HasPrefix(m.Key, "x-"):
		return nil
	case m.Key == "$schema" && !strings.Contains(string(m.Value), "json-schema.org/"):
		return wrong(n.where, "$schema %.64s is not known: its keywords may mean anything", m.Value)
	case m.Key == "uniqueItems" && string(m.Value) == "false":
		return nil
	case what == annotation:
		return nil
	case what == unsupported:
		return wrong(n.where, "the keyword %s is not supported in constrained output", m.Key)
	case what == unknown:
		return wrong(n.where, "the keyword %.64q is not known; ignoring it could change what is valid", m.Key)
	}
	n.keywords[m.Key] = m.Value
	var members *[]strictjson.Member
	switch m.Key {
	case "properties":
		members = &n.props
	case "patternProperties":
		members = &n.patterns
	default:
		return nil
	}
	list, ok := m.Value.Object()
	if !ok {
		return wrong(n.where, "%s must be an object", m.Key)
	}
	*members = list
	return nil
}

// count returns the greatest (or, with least, the smallest) of a keyword that counts; none where no schema has it.
func (c conjunction) count(keyword string, none int, better func(a, b int) int) (int, error) {
	out, found := none, false
	for _, n := range c {
		v := n.keywords[keyword]
		if v == nil {
			continue
		}
		f, ok := v.Float()
		if !ok || f < 0 || f != float64(int64(f)) {
			return 0, wrong(n.where, "%s must be a whole number that is not negative", keyword)
		}
		if f > maxRepeat {
			return 0, wrong(n.where, "%s: at most %d is supported in constrained output", keyword, maxRepeat)
		}
		if !found {
			out, found = int(f), true
		}
		out = better(out, int(f))
	}
	return out, nil
}

func greater(a, b int) int { return max(a, b) }
func smaller(a, b int) int { return min(a, b) }

// counts are the bounds that two keywords set; most < 0: none.
func (c conjunction) counts(minKeyword, maxKeyword string) (least, most int, err error) {
	if least, err = c.count(minKeyword, 0, greater); err != nil {
		return
	}
	most, err = c.count(maxKeyword, -1, smaller)
	return
}

// has tells whether any of the schemas has a keyword of a list.
func (c conjunction) has(keywords ...string) bool {
	for _, n := range c {
		for _, k := range keywords {
			if n.keywords[k] != nil {
				return true
			}
		}
	}
	return false
}
