package template

import (
	"errors"
	"runtime"
	"strings"
	"testing"
)

// hostile templates ask for far more time or memory than a rendering may take.
var hostile = []string{
	`{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}`,
	`{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}`,
	`{{ 'x' * 10**9 }}`,
	`{{ 10**9 * 'xyz' }}`,
	`{{ [0] * 10**9 }}`,
	`{{ (0,) * 10**18 }}`,
	`{{ 10 ** (10 ** 9) }}`,
	`{{ 2 ** 99999999999999999999 }}`,
	`{% set ns = namespace(x=2) %}{% for i in range(100) %}{% set ns.x = ns.x * ns.x %}{% endfor %}`,
	`{{ 'x'.ljust(10**9) }}`,
	`{{ 'x'.zfill(10**9) }}`,
	`{{ 'x'|center(10**12) }}`,
	`{{ '\t'.expandtabs(10**9) }}`,
	`{{ '%1000000000d' % 1 }}`,
	`{{ '%.1000000000f' % 1.5 }}`,
	`{{ '%.1000000000d' % 1 }}`,
	`{{ '%*s' % (10**9, 'x') }}`,
	`{{ '{:1000000000}'.format('x') }}`,
	`{{ '{:01000000000,}'.format(1) }}`,
	`{{ '{:.1000000000f}'.format(1.5) }}`,
	`{{ '{:{}}'.format(1, 10**9) }}`,
	`{{ 'a'|indent(10**9) }}`,
	`{{ [1]|tojson(indent=10**9) }}`,
	`{{ [1]|batch(10**9, 0)|list }}`,
	`{{ [1]|slice(10**9, 0)|list }}`,
	`{{ lipsum(10**9) }}`,
	`{{ lipsum(1, false, 10**9, 10**9 + 1) }}`,
	`{{ strftime_now('%c' * 1000000) }}`,
	`{% set ns = namespace(x='x') %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% endfor %}`,
	`{% set ns = namespace(x='x') %}{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}`,
	`{% set ns = namespace(x='x') %}{% for i in range(64) %}{% set ns.x = ns.x.replace('x', 'xx') %}{% endfor %}`,
	`{% set ns = namespace(x='x') %}{% for i in range(64) %}{% set ns.x = [ns.x, ns.x]|join %}{% endfor %}`,
	`{% set ns = namespace(x='x') %}{% for i in range(64) %}{% set ns.x = '%s%s' % (ns.x, ns.x) %}{% endfor %}`,
	`{% set ns = namespace(x='x') %}{% for i in range(64) %}{% set ns.x = '{0}{0}'.format(ns.x) %}{% endfor %}`,
	`{% set ns = namespace(x='<') %}{% for i in range(64) %}{% set ns.x = ns.x|forceescape %}{% endfor %}{{ ns.x * 10**8 }}`,
	`{% set ns = namespace(x='x') %}{% for i in range(64) %}{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}`,
	`{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% endfor %}`,
	`{% set ns = namespace(x='x') %}{% for i in range(99999) %}{% set ns.x = ns.x ~ 'y' * 1000 %}{% endfor %}`,
	`{% set ns = namespace(x=[1]) %}{% for i in range(99999) %}{% set ns.x = ns.x + [1] * 100 %}{% endfor %}`,
	`{% set ns = namespace(x=1) %}{% for i in range(64) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}`,
	`{% set ns = namespace(x=1) %}{% for i in range(64) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}`,
	`{% set ns = namespace(x=1) %}{% for i in range(64) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|pprint }}`,
	`{% set ns = namespace(x=1, y=1) %}{% for i in range(64) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}`,
	`{% set ns = namespace(x=1, y=1) %}{% for i in range(64) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x < ns.y }}`,
	`{% set ns = namespace(x=1) %}{% for i in range(64) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}`,
	`{% set ns = namespace(x=1) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}`,
	`{% set ns = namespace(x=1) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x|tojson }}`,
	`{% set ns = namespace(x=1) %}{% for i in range(99999) %}{% set ns.x = {'a': ns.x} %}{% endfor %}{{ ns.x == [] }}{{ ns.x|pprint }}`,
	`{% set ns = namespace(x=1) %}{% for i in range(99999) %}{% set ns.x = (ns.x,) %}{% endfor %}{{ [ns.x]|unique|list }}`,
	`{% set ns = namespace(x=1) %}{% for i in range(99999) %}{% set ns.x = namespace(x=ns.x) %}{% endfor %}{{ ns.x }}`,
	`{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l, ns.l, ns] %}{% endfor %}{{ ns }}`,
	`{% set ns = namespace(a=[1]) %}{% for i in range(300) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns }}`,
	`{% set ns = namespace(g=[1]) %}{% for i in range(99999) %}{% set ns.g = ns.g|map('string') %}{% endfor %}{{ ns.g|list }}`,
	`{% set ns = namespace(g=[1]) %}{% for i in range(99999) %}{% set ns.g = ns.g|select %}{% endfor %}{{ ns.g|first }}`,
	`{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}`,
	`{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}`,
	`{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}`,
	`{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}`,
	`{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}`,
	`{% block b %}{{ self.b() }}{% endblock %}`,
	`{% set s = 'x' * 1000000 %}{% set t = 'x' * 1000000 %}{% for i in range(99999) %}{% if s == t %}{% endif %}{% endfor %}`,
	`{% set s = 'x' * 1000000 %}{% set t = 'x' * 1000000 %}{% for i in range(99999) %}{% if s < t %}{% endif %}{% endfor %}`,
	`{% set s = 'x' * 1000000 %}{% set d = {s: 1} %}{% for i in range(99999) %}{% if d[s] %}{% endif %}{% endfor %}`,
	`{% set s = 'x' * 1000000 %}{% for i in range(99999) %}{% if 'y' in s %}{% endif %}{% endfor %}`,
	`{% set s = 'x' * 1000000 %}{% for i in range(99999) %}{% if s[-1000000] %}{% endif %}{% endfor %}`,
	`{% set s = 'x' * 1000000 %}{% for i in range(99999) %}{% if s[::2] %}{% endif %}{% endfor %}`,
	`{% set s = 'x' * 1000000 %}{% for i in range(99999) %}{% if s|length %}{% endif %}{% endfor %}`,
	`{% set s = ' ' * 1000000 %}{% for i in range(99999) %}{% if s.strip() %}{% endif %}{% endfor %}`,
	`{% set s = 'x' * 1000000 %}{% for i in range(99999) %}{% if s.removeprefix(s) %}{% endif %}{% endfor %}`,
	`{% set s = 'x' * 1000000 %}{% set t = (s ~ 'y',) * 1000 %}{% for i in range(99999) %}{% if s.startswith(t) %}{% endif %}{% endfor %}`,
	`{% set s = 'x' * 1000000 %}{% for i in range(99999) %}{% if s.isalpha() %}{% endif %}{% endfor %}`,
	`{% set l = range(100000)|list %}{% for i in range(99999) %}{% if -1 in l %}{% endif %}{% endfor %}`,
	`{% set l = range(100000)|list %}{% for i in l %}{% if l|sort %}{% endif %}{% endfor %}`,
	`{% set l = range(100000)|list %}{% for i in l %}{% if l|max %}{% endif %}{% endfor %}`,
	`{% set l = range(100000)|list %}{% for i in l %}{% if l.count(1) %}{% endif %}{% endfor %}`,
	`{% set l = range(100000)|list %}{% for i in l %}{% if l.index(99999) %}{% endif %}{% endfor %}`,
	`{% set l = range(100000)|list %}{% for i in l %}{% if range(*l[:3]) is iterable and dict(zip=l) == dict(zip=l + [1]) %}{% endif %}{% endfor %}`,
	`{{ (' ' * 4000000)|wordwrap(1) }}{{ ('- ' * 2000000)|wordwrap(1) * 100 }}`,
	`{{ ('(' * 4000000)|urlize }}`,
	`{{ ('a@' * 2000000)|urlize }}{{ ('a ' * 2000000)|urlize }}`,
	`{{ ('ab ' * 1000000)|title|wordcount }}{% for i in range(99999) %}{{ ('ab ' * 100000)|upper|length }}{% endfor %}`,
	`{% set a = {} %}{% for i in range(100000) %}{% for j in range(100000) %}{% if dict(a, x=1) %}{% endif %}{% endfor %}{% endfor %}`,
	`{% for i in range(100000) %}{% if false %}` + strings.Repeat(`{{ a`, 1) + manyNames(2000) + `{% endif %}{% endfor %}`,
}

// manyNames is the rest of an expression that mentions many variables.
func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(` }}{{ a`)
		for ; i > 0; i /= 26 {
			b.WriteByte(byte('a' + i%26))
		}
	}
	return b.String() + " }}"
}

// TestHostileTemplates checks that such templates are stopped, and that they did not take much memory until then.
func TestHostileTemplates(t *testing.T) {
	limits := Limits{Steps: 500_000, Memory: 64 << 20, Output: 4 << 20}
	for _, source := range hostile {
		name := source
		if len(name) > 100 {
			name = name[:100]
		}
		t.Run(name, func(t *testing.T) {
			tmpl, err := Parse(source)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			out, err := tmpl.Render(Context{}, limits)
			runtime.ReadMemStats(&after)
			var limit *LimitError
			var render *RenderError
			if !errors.As(err, &limit) && !(errors.As(err, &render) && render.Kind == OverflowError) {
				t.Errorf("gives %d bytes and %v, want a limit", len(out), err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 8*uint64(limits.Memory) {
				t.Errorf("allocated %d MB", used>>20)
			}
		})
	}
}

// TestHostileSources checks that templates which are themselves excessive are refused.
func TestHostileSources(t *testing.T) {
	for name, source := range map[string]string{
		"size":        strings.Repeat("x", maxSource+1),
		"parentheses": "{{ " + strings.Repeat("(", 100_000),
		"lists":       "{{ " + strings.Repeat("[", 100_000),
		"dicts":       "{{ " + strings.Repeat("{1:", 100_000),
		"signs":       "{{ " + strings.Repeat("-", 100_000) + "1 }}",
		"nots":        "{{ " + strings.Repeat("not ", 100_000) + "1 }}",
		"sum":         "{{ 1" + strings.Repeat("+1", 100_000) + " }}",
		"powers":      "{{ 1" + strings.Repeat("**1", 100_000) + " }}",
		"ands":        "{{ 1" + strings.Repeat(" and 1", 50_000) + " }}",
		"conditions":  "{{ 1" + strings.Repeat(" if 1 else 1", 40_000) + " }}",
		"ifs":         "{{ 1" + strings.Repeat(" if 1", 50_000) + " }}",
		"attributes":  "{{ a" + strings.Repeat(".a", 100_000) + " }}",
		"calls":       "{{ a" + strings.Repeat("()", 100_000) + " }}",
		"filters":     "{{ a" + strings.Repeat("|e", 100_000) + " }}",
		"tests":       "{{ a" + strings.Repeat(" is a(1)", 50_000) + " }}",
		"block":       "{% filter e" + strings.Repeat("|e", 100_000) + " %}{% endfilter %}",
		"blocks":      strings.Repeat("{% if 1 %}", 50_000),
		"loops":       strings.Repeat("{% for a in b %}", 30_000),
		"macros":      strings.Repeat("{% macro a() %}", 30_000),
		"digits":      "{{ " + strings.Repeat("9", 100_000) + " }}",
		"raw":         "{% raw %}" + strings.Repeat("{% endraw ", 50_000),
		"comment":     strings.Repeat("{# ", 100_000),
		"string":      "{{ '" + strings.Repeat("x", 500_000),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(source)
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Errorf("got %v, want a syntax error", err)
			}
		})
	}
}

// TestManyBranches checks that the work on scopes stays bounded: it grows with names times branches.
func TestManyBranches(t *testing.T) {
	var b strings.Builder
	for range 8000 {
		b.WriteString("{% if a %}{% set b = 1 %}{% endif %}")
	}
	if _, err := Parse(b.String()); err != nil {
		t.Errorf("many branches with few names: %v", err)
	}
	source := "{% if a %}" + "{{ a" + manyNames(8000) + "{% endif %}" + b.String()
	var syntax *SyntaxError
	if _, err := Parse(source); !errors.As(err, &syntax) {
		t.Errorf("many branches with many names: got %v, want a syntax error", err)
	}
}

// TestDefaultLimits checks that a long conversation stays within the default limits.
func TestDefaultLimits(t *testing.T) {
	tmpl, err := Parse(`{% for m in messages %}{{ '<|' + m.role + '|>' + m.content | trim + '<|end|>\n' }}{% endfor %}`)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("some words of a message ", 1000)
	var messages []Value
	for range 200 {
		messages = append(messages, Object(Member{"role", String("user")}, Member{"content", String(text)}))
	}
	out, err := tmpl.Render(Context{Messages: List(messages...)})
	if err != nil || len(out) < 200*len(text)-400 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}
