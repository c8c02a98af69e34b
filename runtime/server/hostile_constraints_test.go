package server

import "strings"

// hostileBody is a request that has to be refused because of a field, with a message.
type hostileBody struct{ name, path, body, param, message string }

// hostileConstraints are those whose output can not be constrained as they want.
var hostileConstraints = []hostileBody{
	{"10 nested oneOf", "/v1/completions", `{"prompt":"x","guided_json":` + strings.Repeat(`{"oneOf":[`, 30) + `true,true` + strings.Repeat(`]}`, 30) + `}`, "guided_json", "nothing matches"},
	{"10 $ref to itself", "/v1/completions", `{"prompt":"x","guided_json":{"allOf":[{"$ref":"#"}]}}`, "guided_json", "$ref comes back"},
	{"10 no end", "/v1/completions", `{"prompt":"x","guided_json":{"type":"array","items":{"$ref":"#"},"minItems":1}}`, "guided_json", "nothing matches"},
	{"10 pattern", "/v1/completions", `{"prompt":"x","guided_json":{"pattern":7}}`, "guided_json", "pattern must be a string"},
	{"10 type", "/v1/completions", `{"prompt":"x","guided_json":{"type":"strnig"}}`, "guided_json", "is not known"},
	{"10 not of everything", "/v1/completions", `{"prompt":"x","guided_json":{"not":{}}}`, "guided_json", "nothing matches"},
	{"10 keyword", "/v1/completions", `{"prompt":"x","guided_json":{"extends":{}}}`, "guided_json", "keyword extends"},
	{"10 regex", "/v1/completions", `{"prompt":"x","guided_regex":"((a{500}){500}){500}"}`, "guided_regex", "regular expression"},
	{"10 states", "/v1/completions", `{"prompt":"x","guided_regex":"(a|b)*a(a|b){40}"}`, "guided_regex", "too large"},
	{"10 left recursion", "/v1/completions", `{"prompt":"x","guided_grammar":"root ::= root \"a\" | \"b\""}`, "guided_grammar", "left recursion"},
	{"10 two", "/v1/completions", `{"prompt":"x","guided_regex":"a","guided_choice":["b"]}`, "guided_choice", "already"},
	{"10 empty", "/v1/completions", `{"prompt":"x","guided_choice":[""]}`, "guided_choice", "empty text"},
}
