package grammar

import (
	"strings"

	"llmc/runtime/server/strictjson"
)

// keywordRule says what a keyword's value is.
type keywordRule uint8

const (
	unknown    keywordRule = iota
	annotation             // nothing that decides what is valid
	asValue                // a value
	asSchema               // a schema
	asList                 // a list of schemas
	asNamed                // schemas with names
	unsupported
)

// keywords are those of draft 2020-12, of those before it that are still written, and of OpenAPI.
var keywords = map[string]keywordRule{
	"$ref": asValue, "$dynamicRef": asValue, "allOf": asList, "anyOf": asList, "oneOf": asList, "not": asSchema, "if": asSchema, "then": asSchema, "else": asSchema,
	"type": asValue, "enum": asValue, "const": asValue, "nullable": asValue,
	"properties": asNamed, "required": asValue, "additionalProperties": asSchema, "patternProperties": asNamed, "propertyNames": asSchema, "minProperties": asValue, "maxProperties": asValue,
	"dependentSchemas": asNamed, "dependentRequired": asValue, "unevaluatedProperties": asSchema,
	"prefixItems": asList, "items": asSchema, "minItems": asValue, "maxItems": asValue, "uniqueItems": asValue,
	"contains": asSchema, "minContains": asValue, "maxContains": asValue, "unevaluatedItems": asSchema,
	"minLength": asValue, "maxLength": asValue, "pattern": asValue, "format": asValue,
	"minimum": asValue, "maximum": asValue, "exclusiveMinimum": asValue, "exclusiveMaximum": asValue, "multipleOf": asValue,

	"$id": annotation, "id": annotation, "$anchor": annotation, "$dynamicAnchor": annotation, // schema_refs.go reads these
	"$schema": annotation, "$comment": annotation, "$defs": annotation, "definitions": annotation, "$vocabulary": annotation,
	"title": annotation, "description": annotation, "default": annotation, "deprecated": annotation, "readOnly": annotation, "writeOnly": annotation,
	"example": annotation, "examples": annotation, "contentEncoding": annotation, "contentMediaType": annotation, "contentSchema": annotation,
	"discriminator": annotation, "externalDocs": annotation, "xml": annotation,

	"$recursiveAnchor": unsupported, "divisibleBy": unsupported, "disallow": unsupported, "extends": unsupported,
}

// modern writes the keywords of drafts before 2020-12 as those that took their place.
func modern(members []strictjson.Member) []strictjson.Member {
	has := map[string]strictjson.Value{}
	for _, m := range members {
		has[m.Key] = m.Value
	}
	_, tuple := has["items"].Array()
	var out []strictjson.Member
	for _, m := range members {
		switch {
		case m.Key == "$recursiveRef":
			m.Key = "$ref"
		case m.Key == "items" && tuple:
			m.Key = "prefixItems"
			if list, _ := m.Value.Array(); len(list) == 0 {
				continue
			}
		case m.Key == "additionalItems":
			if m.Key = "items"; !tuple {
				continue // it said nothing beside a schema for all
			}
		case m.Key == "dependencies":
			out = append(out, dependencies(m.Value)...)
			continue
		case m.Key == "exclusiveMinimum" || m.Key == "exclusiveMaximum":
			if strict, ok := m.Value.Bool(); ok {
				limit := has[strings.ToLower(m.Key[len("exclusive"):])]
				if m.Value = limit; !strict || limit == nil {
					continue
				}
			}
		}
		out = append(out, m)
	}
	return out
}

// dependencies are names of draft 7's keyword, or schemas.
func dependencies(v strictjson.Value) []strictjson.Member {
	members, ok := v.Object()
	if !ok {
		return []strictjson.Member{{Key: "dependentRequired", Value: v}}
	}
	var lists, schemas []string
	for _, m := range members {
		row := quotedJSON(m.Key) + ":" + string(m.Value)
		if _, ok := m.Value.Array(); ok {
			lists = append(lists, row)
		} else {
			schemas = append(schemas, row)
		}
	}
	return []strictjson.Member{
		{Key: "dependentRequired", Value: strictjson.Value("{" + strings.Join(lists, ",") + "}")},
		{Key: "dependentSchemas", Value: strictjson.Value("{" + strings.Join(schemas, ",") + "}")},
	}
}

func quotedJSON(s string) string { return `"` + spell(s) + `"` }

// misspelt is the keyword that a name is nearly: what is left out by mistake would change what is valid.
func misspelt(name string) string {
	for k, rule := range keywords {
		if rule == annotation {
			continue
		}
		most := 0
		switch {
		case len(k) >= 10:
			most = 2
		case len(k) >= 5:
			most = 1
		}
		if strings.EqualFold(k, name) || most > 0 && distance(strings.ToLower(k), strings.ToLower(name), most) <= most {
			return k
		}
	}
	return ""
}

// distance is how many bytes have to be put in, left out or replaced; only whether it is above most is exact beyond that. (Levenshtein, 1966.)
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, corner+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// count returns the greatest (or, with least, the smallest) of a keyword that counts; none where no schema has it.
func (c conjunction) count(keyword string, none int, better func(a, b int) int) (int, error) {
	out, found := none, false
	for _, n := range c {
		k, ok, err := n.count(keyword)
		if err != nil {
			return 0, err
		}
		if ok && found {
			k = better(out, k)
		}
		if ok {
			out, found = k, true
		}
	}
	return out, nil
}

// mostCount stands for all counts above it.
const mostCount = 1 << 40

// count is the value of a keyword that counts.
func (n *node) count(keyword string) (k int, ok bool, err error) {
	v := n.keywords[keyword]
	if v == nil {
		return 0, false, nil
	}
	f, isNumber := v.Float()
	if !isNumber || f < 0 || f < mostCount && f != float64(int64(f)) {
		return 0, false, wrong(n.where, "%s must be a whole number that is not negative", keyword)
	}
	return int(min(f, mostCount)), true, nil
}

func greater(a, b int) int { return max(a, b) }
func smaller(a, b int) int { return min(a, b) }

// counts are the bounds that two keywords set; most < 0: none. What is above maxRepeat is not written.
func (c conjunction) counts(minKeyword, maxKeyword string) (least, most int, err error) {
	if least, err = c.count(minKeyword, 0, greater); err != nil {
		return
	}
	if least > maxRepeat {
		return 0, 0, wrong(c[0].where, "%s: at most %d is supported in constrained output", minKeyword, maxRepeat)
	}
	if most, err = c.count(maxKeyword, -1, smaller); most > maxRepeat {
		most = maxRepeat
	}
	return
}

// has tells whether any of the schemas has a keyword of a list.
func (c conjunction) has(keywords ...string) bool {
	for _, n := range c {
		for _, k := range keywords {
			if n.keywords[k] != nil || n.one[k] != nil || n.many[k] != nil || n.named[k] != nil {
				return true
			}
		}
	}
	return false
}
