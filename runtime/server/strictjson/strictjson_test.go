package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestCheckRefuses(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	cases := []struct {
		name, text, want string
	}{
		{"empty", "", "unexpected end at byte 0"},
		{"cut", `{"a":`, "unexpected end at byte 5"},
		{"two values", `1 2`, "text after the end at byte 2"},
		{"trailing comma", `[1,]`, `no value begins with ']' at byte 3`},
		{"comment", `[1/**/]`, `neither a comma nor ']' at byte 2`},
		{"bare key", `{a:1}`, "a key must be a string at byte 1"},
		{"depth", deep, "nested deeper than 64 at byte 65"},
		{"duplicate key", `{"a":1,"b":2,"a":3}`, `duplicate key "a" at byte 13`},
		{"duplicate key, one escaped", `{"a":1,"\u0061":2}`, `duplicate key "a" at byte 7`},
		{"duplicate key inside", `[{"x":{"k":1,"k":1}}]`, `duplicate key "k" at byte 13`},
		{"NaN", `[NaN]`, `no value begins with 'N' at byte 1`},
		{"infinite", `-Infinity`, "a number without digits at byte 1"},
		{"float64 overflow", `[1e999]`, "a number out of range at byte 6"},
		{"long number", strings.Repeat("9", 65), "a number of more than 64 bytes at byte 65"},
		{"leading zero", `01`, "text after the end at byte 1"},
		{"plus", `+1`, `no value begins with '+' at byte 0`},
		{"lone high surrogate", `"\ud800"`, "lone surrogate at byte 1"},
		{"lone low surrogate", `"\udc00"`, "lone surrogate at byte 1"},
		{"high surrogate and a letter", `"\ud800\u0041"`, "lone surrogate at byte 1"},
		{"signed escape", `"\u+041"`, `\u without four hexadecimal digits at byte 1`},
		{"invalid UTF-8", "\"a\xff\"", "invalid UTF-8 at byte 2"},
		{"line end in a string", "\"a\nb\"", "control character in a string at byte 2"},
		{"open string", `"abc\`, "a string does not end at byte 4"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Check([]byte(c.text))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestObjectOfTooManyMembers(t *testing.T) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range MaxMembers + 1 {
		if i > 0 {
			b.WriteByte(',')
		}
		key, _ := json.Marshal(string(rune('a'+i%26)) + strings.Repeat("x", i/26%40) + string(rune(0x4e00+i/1040)))
		b.Write(key)
		b.WriteString(":1")
	}
	b.WriteByte('}')
	if _, err := Check(b.Bytes()); err == nil || !strings.Contains(err.Error(), "more than 65536 members") {
		t.Errorf("got %v", err)
	}
}

func TestValues(t *testing.T) {
	v, err := Check([]byte(` {"s":"a\n\ud83d\ude00","i":-7,"f":2.5,"w":1e3,"b":true,"n":null,"a":[1,[2],{"x":"]"}],"o":{}} `))
	if err != nil {
		t.Fatal(err)
	}
	members, ok := v.Object()
	if !ok || len(members) != 8 {
		t.Fatalf("members: %v", members)
	}
	get := func(i int) Value { return members[i].Value }
	if s, ok := get(0).Text(); !ok || s != "a\n😀" {
		t.Errorf("text: %q", s)
	}
	if i, ok := get(1).Int(); !ok || i != -7 {
		t.Errorf("int: %d", i)
	}
	if f, ok := get(2).Float(); !ok || f != 2.5 {
		t.Errorf("float: %g", f)
	}
	if _, ok := get(2).Int(); ok {
		t.Error("2.5 taken for an integer")
	}
	if w, ok := get(3).Int(); !ok || w != 1000 {
		t.Errorf("whole float: %d", w)
	}
	if b, ok := get(4).Bool(); !ok || !b {
		t.Error("bool")
	}
	if !get(5).IsNull() {
		t.Error("null")
	}
	elements, ok := get(6).Array()
	if !ok || len(elements) != 3 || string(elements[1]) != "[2]" || string(elements[2]) != `{"x":"]"}` {
		t.Errorf("elements: %s", elements)
	}
	if empty, ok := get(7).Object(); !ok || len(empty) != 0 {
		t.Error("empty object")
	}
}

func TestIntBeyondFloatPrecision(t *testing.T) {
	for text, fits := range map[string]bool{
		"9223372036854775807": true, "9223372036854775808": false, "1e16": false, "-1.0": true, "0.1e1": true,
	} {
		if _, ok := Value(text).Int(); ok != fits {
			t.Errorf("%s: fits %v, want %v", text, ok, fits)
		}
	}
}

// FuzzCheck compares with encoding/json: what Check accepts, it must accept and give the same values for.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5e-3,"x\u00e9\ud83d\ude00",true,false,null],"b":{"c":{}}}`, `[]`, `"\\\""`, ` 0 `, `{"":{"":""}}`, `[[],[{}],"]}"]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Check(text)
		if err != nil {
			return
		}
		var want any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("accepted %q, encoding/json says %v", text, err)
		}
		if got := decode(t, v); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %v, want %v", text, got, want)
		}
	})
}

// decode builds through Value what encoding/json builds.
func decode(t *testing.T, v Value) any {
	if members, ok := v.Object(); ok {
		object := map[string]any{}
		for _, m := range members {
			object[m.Key] = decode(t, m.Value)
		}
		return object
	}
	if elements, ok := v.Array(); ok {
		array := []any{}
		for _, e := range elements {
			array = append(array, decode(t, e))
		}
		return array
	}
	if s, ok := v.Text(); ok {
		return s
	}
	if b, ok := v.Bool(); ok {
		return b
	}
	if n, ok := v.Float(); ok {
		return n
	}
	if !v.IsNull() {
		t.Fatalf("value %q is of no kind", v)
	}
	return nil
}
