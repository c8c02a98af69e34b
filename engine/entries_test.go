package engine

import (
	"reflect"
	"strings"
	"testing"

	"llmc/internal/sym"
)

// entries are launches for steps of up to 8, up to 64 and more tokens.
func entries() []Code {
	shape := Code{Entry: "linear_1_to_8", Grid: [3]Extent{{sym.Of(sym.T), 8}, {sym.Const(3), 1}, {sym.Const(1), 1}}, Threads: 384, Shared: 1 << 17}
	list := []Code{shape, shape, shape}
	list[0].Limit = Limit{sym.Of(sym.T), 8}
	list[1].Entry, list[1].Limit = "linear_1_to_64", Limit{sym.Of(sym.T), 64}
	list[2].Entry = "linear_1"
	return list
}

func TestCodesReadBack(t *testing.T) {
	want := entries()
	wire := codesToWire(want)
	if wire[0].Limit != "T<=8" || wire[2].Limit != "" || wire[0].Grid[0] != "T/8" {
		t.Errorf("written as %+v", wire)
	}
	got, err := codesFromWire(wire)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read back as %+v: %v", got, err)
	}
	if err := checkCodes(want); err != nil {
		t.Error(err)
	}
}

func TestLimitAdmits(t *testing.T) {
	for _, c := range []struct {
		limit Limit
		t     int64
		want  bool
	}{{Limit{sym.Of(sym.T), 8}, 8, true}, {Limit{sym.Of(sym.T), 8}, 9, false}, {Limit{}, 1 << 40, true}, {Limit{sym.Of(sym.R), 8}, 100, true}} {
		if got := c.limit.Admits(sym.Bind(c.t, 1, 1, 0)); got != c.want {
			t.Errorf("%d tokens within %q: %v", c.t, c.limit, got)
		}
	}
}

func TestCodesRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(c []Code) []Code
		text   string
	}{
		{"no last one", func(c []Code) []Code { return c[:2] }, `limit "T<=64"; all entries but the last one`},
		{"unlimited first", func(c []Code) []Code { c[0].Limit = Limit{}; return c }, `entry linear_1_to_8: limit ""`},
		{"descending", func(c []Code) []Code { c[1].Limit.Max = 8; return c }, "limit T<=8 behind T<=8"},
		{"of two sizes", func(c []Code) []Code { c[1].Limit.Of = sym.Of(sym.R); return c }, "limit R<=64 behind T<=8"},
		{"negative", func(c []Code) []Code { c[0].Limit.Max = -1; return c }, "limit T<=-1"},
		{"huge", func(c []Code) []Code { c[1].Limit.Max = 1 << 40; return c }, "limit T<="},
		{"no identifier", func(c []Code) []Code { c[1].Entry = "a b"; return c }, "not an identifier"},
		{"threads", func(c []Code) []Code { c[2].Threads = 2048; return c }, "2048 threads"},
		{"too many", func(c []Code) []Code { return append(make([]Code, maxCodes), c...) }, "19 entries"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := checkCodes(c.change(entries())); err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v; want %q", err, c.text)
			}
		})
	}
	for _, text := range []string{"T", "T<=", "T<=0", "T<=-8", "T<8", "Q<=8", "<=8", "T<=99999999999999999999"} {
		if l, err := parseLimit(text); err == nil {
			t.Errorf("limit %q read as %v", text, l)
		}
	}
}
