package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"llmc/runtime/server/strictjson"
)

// Every route is described and nothing else is, with the fields that its decoder knows.
func TestOpenAPIRoutes(t *testing.T) {
	left := maps.Clone(described)
	for _, row := range routes {
		path := strings.ReplaceAll(row.path, ":*}", "}")
		said, ok := describedAs(row.method, path)
		if !ok || said.summary == "" {
			t.Errorf("%s %s is not described", row.method, row.path)
		}
		if row.method == "GET" && (said.on != 0 || said.body != nil) {
			t.Errorf("%s %s has a body", row.method, row.path)
		}
		delete(left, row.method+" "+strings.Replace(path, "/versions/{version}", "", 1))
	}
	for key := range left {
		t.Errorf("%s is described and no route", key)
	}
	used := endpoints(0)
	for _, said := range described {
		used |= said.on
	}
	for on, rules := range fieldsOf {
		if used&on == 0 {
			t.Errorf("no operation has the fields of endpoint %b", on)
		}
		var documented []string
		for _, row := range fieldSchemas {
			if row.on&on != 0 {
				documented = append(documented, row.name)
			}
		}
		slices.Sort(documented)
		if known := slices.Sorted(maps.Keys(rules)); !slices.Equal(documented, known) {
			t.Errorf("endpoint %b: documented are %d fields, known %d: %q", on, len(documented), len(known),
				slices.DeleteFunc(slices.Concat(documented, known), func(name string) bool { return slices.Contains(documented, name) && slices.Contains(known, name) }))
		}
	}
	if documented, known := slices.Sorted(maps.Keys(tgiParameterSchemas)), slices.Sorted(maps.Keys(tgiParameters)); !slices.Equal(documented, known) {
		t.Errorf("parameters: documented are %q, known %q", documented, known)
	}
}

// probes are values to which schemas and rules must say the same.
var probes = func() (list []string) {
	list = []string{"true", "false", `""`, `"x"`, `"none"`, `"auto"`, `"required"`, `"never"`, `"medium"`, `"disabled"`, `"float"`, `"base64"`, `"loud"`, `[]`, `{}`, `["x"]`, `["text"]`, `["a",1]`, `[[1,2]]`,
		`[1,2]`, `[257]`, `[258]`, `[-1]`, `{"x":1}`, `{"7":1}`, `{"007":1}`, `{"257":-100}`, `{"258":1}`, `{"7":101}`, `{"7":"x"}`, `{"type":"text"}`, `{"type":"json_object"}`, `{"type":"xml"}`, `{"type":"json_schema"}`,
		`{"type":"json_schema","json_schema":{"name":"n","schema":{}}}`, `{"type":"json_schema","json_schema":{"other":1}}`, `{"type":"function","function":{"name":"f"}}`,
		`{"type":"function","function":{}}`, `{"include_usage":true}`, `{"include_usage":1}`, `{"include_usages":true}`, `{"include_obfuscation":7}`, `{"tokenize":1}`, `{"thinking":true}`,
		`[{"role":"user","content":"x"}]`, `[{"role":"user"}]`, `[{"role":"user","content":1}]`, `[{"role":"user","content":[{"type":"text","text":"x"}]}]`, `[{"role":"user","content":[{"type":"text"}]}]`,
		`["reasoning.encrypted_content"]`, `["other"]`, `{"text":"x"}`, `[{"text":"x"}]`, `[{"text":1}]`, `[{"text":"x","more":1}]`, `{"effort":null}`, `{"verbosity":"medium"}`, `{"other":1}`}
	for _, n := range []float64{-101, -100, -2.5, -2, -1, 0, 0.5, 1, 1.5, 2, 2.5, 5, 6, 10, 10.5, 20, 21, 100, 101, 128, 129, math.MaxInt32, math.MaxInt32 + 1, math.MinInt32, math.MinInt32 - 1, 1e15, 1e300} {
		list = append(list, string(marshaled(n)))
	}
	for _, n := range []int{maxStopBytes, maxStopBytes + 1, maxNameBytes, maxNameBytes + 1} {
		list = append(list, string(marshaled(strings.Repeat("x", n))))
	}
	for _, n := range []int{maxStops, maxStops + 1, maxPrompts + 1} {
		list = append(list, "["+strings.Repeat(`"x",`, n-1)+`"x"]`)
	}
	for _, n := range []int{maxStopTokens, maxStopTokens + 1} {
		list = append(list, "["+strings.Repeat("1,", n-1)+"1]")
	}
	return list
}()

// beyondSchemas are fields of which a schema says other than their rules: they hold languages of their own, or rules look at the model, or at other fields.
var beyondSchemas = map[string]bool{"structured_outputs": true, "grammar": true, "tools": true, "input": true, "inputs": true, "text": true, "model": true, "prompt_name": true, "parameters": true, "sampling_parameters": true}

// What a field's schema takes is what its rule takes.
func TestOpenAPIFields(t *testing.T) {
	m := fakeModel("tiny", nil)
	components := componentsFor([]*Model{&m})
	components["Dimensions"] = integers(1, most32) // the rule about the model's width is one of several fields
	values, decoded := make([]strictjson.Value, len(probes)), make([]any, len(probes))
	for i, probe := range probes {
		var err error
		if values[i], err = strictjson.Check([]byte(probe)); err != nil {
			t.Fatal(probe, err)
		}
		must(t, json.Unmarshal([]byte(probe), &decoded[i]))
	}
	hold := func(on endpoints, name string, says schema, apply rule) {
		for i, probe := range probes {
			refusal := apply(newRequest(on, &m), values[i])
			if allowed := conforms(t, components, says, decoded[i]); allowed != (refusal == nil) {
				t.Errorf("%s of endpoint %b: %.80s: the schema says %v, the rule %v", name, on, probe, allowed, refusal)
			}
		}
	}
	for on, rules := range fieldsOf {
		for _, row := range fieldSchemas {
			// Of /tokenize a rule about several fields refuses more than one prompt.
			if row.on&on != 0 && !beyondSchemas[row.name] && !(row.name == "prompt" && on == onTokenize) {
				hold(on, row.name, row.says, rules[row.name])
			}
		}
	}
	for _, p := range tritonParameters {
		if !beyondSchemas[p.name] {
			hold(onTriton, "triton's "+p.name, tritonSchema(p.name), p.rule)
		}
	}
	for name, apply := range tgiParameters {
		if !beyondSchemas[name] {
			hold(onGenerate, "parameters."+name, tgiParameterSchemas[name], apply)
		}
	}
}

// conforms tells whether a value is of a schema, of the keywords that are used here.
func conforms(t *testing.T, components, says schema, v any) bool {
	t.Helper()
	for keyword, want := range says {
		if !keywordHolds(t, components, says, keyword, want, v) {
			return false
		}
	}
	return true
}

func keywordHolds(t *testing.T, components, says schema, keyword string, want, v any) bool {
	number, isNumber := v.(float64)
	text, isText := v.(string)
	array, isArray := v.([]any)
	members, isObject := v.(map[string]any)
	inner := func(s, v any) bool { return conforms(t, components, s.(schema), v) }
	all := func(list []any, s any) bool {
		return !slices.ContainsFunc(list, func(e any) bool { return !inner(s, e) })
	}
	switch keyword {
	case "description":
		return true
	case "$ref":
		return inner(components[want.(string)[len("#/components/schemas/"):]], v)
	case "not":
		return !inner(want, v)
	case "anyOf":
		return slices.ContainsFunc(want.([]schema), func(s schema) bool { return inner(s, v) })
	case "enum":
		return slices.ContainsFunc(want.([]any), func(one any) bool { return string(marshaled(one)) == string(marshaled(v)) })
	case "type":
		kinds := map[string]bool{"boolean": v == true || v == false, "null": v == nil, "string": isText, "array": isArray, "object": isObject, "number": isNumber, "integer": isNumber && number == math.Trunc(number)}
		return kinds[want.(string)]
	case "minimum", "maximum", "exclusiveMinimum":
		return !isNumber || withinBound(keyword, number, reflect.ValueOf(want))
	case "minLength":
		return !isText || utf8.RuneCountInString(text) >= want.(int)
	case "maxLength":
		return !isText || utf8.RuneCountInString(text) <= want.(int)
	case "pattern":
		return !isText || regexp.MustCompile(want.(string)).MatchString(text)
	case "minItems":
		return !isArray || len(array) >= want.(int)
	case "maxItems":
		return !isArray || len(array) <= want.(int)
	case "items":
		return !isArray || all(array, want)
	case "required":
		return !isObject || !slices.ContainsFunc(want.([]string), func(name string) bool { _, ok := members[name]; return !ok })
	case "propertyNames":
		names := []any{}
		for name := range members {
			names = append(names, name)
		}
		return all(names, want)
	case "properties", "additionalProperties":
		return membersConform(says, members, inner)
	}
	t.Fatalf("keyword %s is not known here", keyword)
	return false
}

// withinBound compares with a bound, which may be any type of number.
func withinBound(keyword string, n float64, bound reflect.Value) bool {
	b := 0.0
	if bound.CanInt() {
		b = float64(bound.Int())
	} else {
		b = bound.Float()
	}
	switch keyword {
	case "minimum":
		return n >= b
	case "maximum":
		return n <= b
	}
	return n > b
}

func membersConform(says schema, members map[string]any, inner func(s, v any) bool) bool {
	known, _ := says["properties"].(map[string]any)
	for name, v := range members {
		switch others := says["additionalProperties"].(type) {
		case bool:
			if known[name] == nil && !others {
				return false
			}
		case schema:
			if known[name] == nil && !inner(others, v) {
				return false
			}
		}
		if known[name] != nil && !inner(known[name], v) {
			return false
		}
	}
	return true
}

func TestTokenNames(t *testing.T) {
	for _, n := range []int{1, 2, 9, 10, 11, 99, 100, 101, 258, 1000, 1024, 3207} {
		names := regexp.MustCompile(tokenNames(n))
		for i := range 2 * n {
			if names.MatchString(fmt.Sprint(i)) != (i < n) {
				t.Fatalf("%d of %d: %v", i, n, names)
			}
		}
		for _, wrong := range []string{"", "-1", "00", "x", "1.0"} {
			if names.MatchString(wrong) {
				t.Errorf("%q of %d", wrong, n)
			}
		}
	}
}

func TestOpenAPIDocument(t *testing.T) {
	keys, _, _ := loadTestKeys(t, "sk-test\n")
	b := &fakeBackend{}
	ts := startServer(t, b, Config{Models: []Model{fakeModel("org/tiny", b), fakeModel("other", b)}, Keys: keys})
	if a := ts.do("GET", "/openapi.json", ""); a.status != 401 {
		t.Errorf("without a key: %d", a.status)
	}
	d := ts.do("GET", "/openapi.json", "", "Authorization: Bearer sk-test").json(t)
	chat := at(t, d, "paths", "/v1/chat/completions", "post", "requestBody", "content", "application/json", "schema")
	if names := at(t, chat, "properties", "model", "enum"); !reflect.DeepEqual(names, []any{"org/tiny", "other"}) {
		t.Errorf("models %v", names)
	}
	if required := at(t, chat, "required"); !reflect.DeepEqual(required, []any{"messages", "model"}) {
		t.Errorf("required %v", required)
	}
	if most := at(t, d, "components", "schemas", "TokenID", "maximum"); most != fakeVocab-1.0 {
		t.Errorf("token ids to %v", most)
	}
	at(t, d, "paths", "/v2/models/{model}/versions/{version}/infer", "post", "responses", "default")
	at(t, d, "paths", "/v1/models/{model}", "get", "parameters", 0, "schema", "enum")
}
