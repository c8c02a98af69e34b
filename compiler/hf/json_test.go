package hf

import (
	"encoding/json"
	"strings"
	"testing"
)

func object(t *testing.T, text string) *Object {
	t.Helper()
	o, err := ParseObject("config.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestParseObjectRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                         "ends too early",
		`{"a":1`:                   "ends too early",
		`{"a":NaN}`:                "byte 5: bad JSON",
		`[1]`:                      "instead of a JSON object",
		`null`:                     "holds null",
		`{} 1`:                     "more text",
		`{"a":1,"a":2}`:            `key "a" is given twice`,
		`{"a":{"b":1,"b":2}}`:      `key "a.b" is given twice`,
		deep(maxJSONDepth + 1):     "nested",
		wide(maxJSONValues):        "too many values",
		`{"a":[1,2,]}`:             "bad JSON",
		"{\"a\":\"\x01\"}":         "bad JSON",
		`{"a":01}`:                 "bad JSON",
		`{"rope_theta":-Infinity}`: "bad JSON",
	} {
		_, err := ParseObject("config.json", []byte(text))
		wantError(t, err, "config.json: ", want)
	}
	object(t, deep(maxJSONDepth-1))
}

func deep(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }

func wide(n int) string { return `{"a":[` + strings.Repeat("0,", n) + `0]}` }

func TestKeysKeepTheirOrder(t *testing.T) {
	o := object(t, `{"z":1,"a":{"y":null,"b":[]},"m":"x"}`)
	if got := strings.Join(o.Keys(), " "); got != "z a m" {
		t.Errorf("keys %q", got)
	}
	if o.Has("nothing") || o.Fields().Object("a").Has("y") || !o.Fields().Object("a").Has("b") {
		t.Error("Has must tell null from an empty list")
	}
}

// Each read that does not fit names the field by its path; the first problem stays.
func TestFieldErrors(t *testing.T) {
	const text = `{"layers":1000000000,"heads":2.5,"eps":"small","scale":1e999,"act":1,"flag":"yes","list":[1,"x"],"ids":[1,-2],
		"rope":{"factor":-1,"type":7},"scalar":3,"big":1e30}`
	for _, c := range []struct {
		read func(f *Fields)
		want string
	}{
		{func(f *Fields) { f.Int("layers", 1, 4096) }, "config.json: layers: 1000000000 is outside 1..4096"},
		{func(f *Fields) { f.Int("heads", 1, 10) }, "config.json: heads: must be an integer, not 2.5"},
		{func(f *Fields) { f.Int("big", 1, 10) }, "config.json: big: must be an integer"},
		{func(f *Fields) { f.Int("hidden", 1, 10) }, "config.json: hidden: is missing"},
		{func(f *Fields) { f.Float("eps", 0, 1) }, `config.json: eps: must be a finite number, not "small"`},
		{func(f *Fields) { f.Float("scale", 0, 1) }, "config.json: scale: must be a finite number"},
		{func(f *Fields) { f.Text("act") }, "config.json: act: must be a string, not 1"},
		{func(f *Fields) { f.BoolOr("flag", false) }, "config.json: flag: must be true or false"},
		{func(f *Fields) { f.Floats("list", 0, 9) }, `config.json: list[1]: must be a finite number, not "x"`},
		{func(f *Fields) { f.Texts("list") }, "config.json: list[0]: must be a string"},
		{func(f *Fields) { f.IDs("ids") }, "config.json: ids[1]: must be a token id"},
		{func(f *Fields) { f.Object("rope").Float("factor", 1, 10) }, "config.json: rope.factor: -1 is outside 1..10"},
		{func(f *Fields) { f.Object("rope").Text("type") }, "config.json: rope.type: must be a string"},
		{func(f *Fields) { f.Object("scalar") }, "config.json: scalar: must be an object, not 3"},
		{func(f *Fields) { f.Texts("scalar") }, "config.json: scalar: must be a list, not 3"},
	} {
		f := object(t, text).Fields()
		c.read(f)
		f.Int("absent", 0, 1)
		wantError(t, f.Err(), c.want)
	}
}

func TestFieldValues(t *testing.T) {
	f := object(t, `{"n":4096.0,"x":1e-5,"eos":[1,2],"bos":3,"none":null,"names":["a","b"],"on":true}`).Fields()
	if n, x := f.Int("n", 1, 5000), f.Float("x", 0, 1); n != 4096 || x != 1e-5 {
		t.Errorf("got %d and %g", n, x)
	}
	if a, b := f.IDs("eos"), f.IDs("bos"); len(a) != 2 || a[1] != 2 || len(b) != 1 || b[0] != 3 {
		t.Errorf("ids %v and %v", a, b)
	}
	if f.IDs("none") != nil || f.IntOr("none", 7, 0, 1) != 7 || f.FloatOr("absent", 2, 0, 1) != 2 || f.TextOr("none", "d") != "d" {
		t.Error("null and absent fields must give the default")
	}
	if names := f.Texts("names"); len(names) != 2 || !f.BoolOr("on", false) {
		t.Errorf("names %q", names)
	}
	if err := f.Err(); err != nil {
		t.Error(err)
	}
}

// What is accepted is JSON, and JSON is refused for duplicate keys and bounds only.
func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,2.5e3,{"b":null}],"c":"\u00e9"}`, `{"a":1}x`, `[{}]`, `{"a":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := ParseObject("f", text)
		valid := json.Valid(text) && strings.HasPrefix(strings.TrimLeft(string(text), " \t\r\n"), "{")
		if err == nil && !valid {
			t.Fatalf("accepted %q", text)
		}
		if err != nil && valid {
			for _, reason := range []string{"twice", "nested", "too many"} {
				if strings.Contains(err.Error(), reason) {
					return
				}
			}
			t.Fatalf("refused %q: %v", text, err)
		}
	})
}
