package reply

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// tagForm is how calls are written with a tag for each argument.
type tagForm struct {
	call     *regexp.Regexp // groups name and inner
	argument *regexp.Regexp // groups key, value and, where the form tells whether the value is a string, string
}

var functionTags = tagForm{
	call:     regexp.MustCompile(`<function=(?P<name>[^>\n]+)>(?P<inner>[\s\S]*?)(?:</function>|$)`),
	argument: regexp.MustCompile(`<parameter=(?P<key>[^>\n]+)>\n?(?P<value>[\s\S]*?)\n?</parameter>`),
}

// invokeTags has tags <invoke name=""> and <parameter name=""> whose names begin with prefix.
func invokeTags(prefix string) *tagForm {
	return &tagForm{
		call:     regexp.MustCompile(`<` + prefix + `invoke name="(?P<name>[^"]+)">(?P<inner>[\s\S]*?)(?:</` + prefix + `invoke>|$)`),
		argument: regexp.MustCompile(`<` + prefix + `parameter name="(?P<key>[^"]+)"(?: string="(?P<string>true|false)")?>(?P<value>[\s\S]*?)</` + prefix + `parameter>`),
	}
}

// keyTags has the name, and tags <arg_key> and <arg_value> in turns, whose names end with suffix.
func keyTags(suffix string) *tagForm {
	return &tagForm{
		call:     regexp.MustCompile(`<tool_call` + suffix + `>\s*(?P<name>[^<\s]+)(?P<inner>[\s\S]*?)(?:</tool_call` + suffix + `>|$)`),
		argument: regexp.MustCompile(`<arg_key` + suffix + `>(?P<key>[\s\S]*?)</arg_key` + suffix + `>\s*<arg_value` + suffix + `>\n?(?P<value>[\s\S]*?)\n?</arg_value` + suffix + `>`),
	}
}

// tagged is the state of calls with tags: they are read when all of their text is there.
func (p *Parser) tagged() bool {
	begin := leading(p.text, p.format.calls.begin)
	name, _, _ := strings.Cut(strings.Trim(begin, "<>"), "=")
	end := "</" + name + ">"
	before := p.text
	if _, ok := p.until(end); !ok {
		return false
	}
	block := before[:len(before)-len(p.text)] // with its end, which calls are read by
	p.state = (*Parser).content
	form := p.format.calls.tags
	called := false
	for _, m := range form.call.FindAllStringSubmatch(block, -1) {
		name := strings.TrimSpace(m[form.call.SubexpIndex("name")])
		if name == "" {
			continue
		}
		called = true
		p.call(name)
		p.arguments(p.types.object(name, form.members(m[form.call.SubexpIndex("inner")])))
	}
	if !called {
		p.give(block)
	}
	return true
}

// member is an argument as text; isString is "true", "false" or, where the form does not tell, "".
type member struct{ key, value, isString string }

func (f *tagForm) members(text string) (list []member) {
	for _, m := range f.argument.FindAllStringSubmatch(text, -1) {
		one := member{key: strings.TrimSpace(m[f.argument.SubexpIndex("key")]), value: m[f.argument.SubexpIndex("value")]}
		if i := f.argument.SubexpIndex("string"); i >= 0 {
			one.isString = m[i]
		}
		list = append(list, one)
	}
	return list
}

// argumentTypes has the JSON types of arguments that tools declare, by tool and argument.
type argumentTypes map[string]map[string][]string

// readArgumentTypes reads the array of tools of a request. What is not as it should be has no types.
func readArgumentTypes(tools []byte) argumentTypes {
	var list []struct {
		Function struct {
			Name       string `json:"name"`
			Parameters struct {
				Properties map[string]struct {
					Type json.RawMessage `json:"type"`
				} `json:"properties"`
			} `json:"parameters"`
		} `json:"function"`
	}
	types := argumentTypes{}
	_ = json.Unmarshal(tools, &list) // keeps what could be read
	for _, t := range list {
		of := map[string][]string{}
		for name, property := range t.Function.Parameters.Properties {
			var one string
			var many []string
			if json.Unmarshal(property.Type, &one) == nil {
				many = []string{one}
			} else if json.Unmarshal(property.Type, &many) != nil {
				many = nil
			}
			of[name] = many
		}
		types[t.Function.Name] = of
	}
	return types
}

// object writes arguments as a JSON object. Texts that are JSON are values, unless the tool declares a string or the text is said to be one.
func (t argumentTypes) object(tool string, members []member) string {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(quoted(m.key))
		out.WriteByte(':')
		declared := t[tool][m.key]
		isString := m.isString == "true" || m.isString == "" && len(declared) == 1 && declared[0] == "string"
		if value := strings.TrimSpace(m.value); !isString && json.Valid([]byte(value)) {
			out.WriteString(value)
			continue
		}
		out.Write(quoted(m.value))
	}
	out.WriteByte('}')
	return out.String()
}

// quoted is a JSON string with nothing escaped that need not be.
func quoted(s string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // strings can be encoded
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}
