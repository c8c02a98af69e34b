package ptx

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// row describes a family of instruction forms. The pattern has alternatives in braces; the operands are written in the
// order of the printed instruction, where $1, $2, ... stand for the alternative chosen in the first, second, ... braces:
//
//	=u32        a register that is written        u32     one that is read      +f32  one that is read and written
//	u32#        a register or an immediate        #       an immediate          pred! a predicate that may be negated
//	4xb32       a vector of registers in braces   =b32|pred  a result with a predicate beside it
//	[global]    an address of that state space    [param] a parameter           sym   a symbol or special register
//
// What follows a slash in the pattern tells forms of the same mnemonic apart and is not printed.
// since lists the requirements, any of which suffices: "sm89@8.1 sm90@7.8"; nothing stands for sm80@7.0.
type row struct {
	pattern  string
	operands string
	since    string
}

// Form is one instruction form: a row with every alternative chosen.
type Form struct {
	Name     string
	operands []spec
	since    []requirement
	row      int
}

type role uint8

const (
	read role = iota
	write
	readWrite
)

// spec is what a form says about one operand.
type spec struct {
	role      role
	count     int // registers of a vector, 0 for a single register
	typ       Type
	immediate bool
	negatable bool
	space     string // of an address
	symbol    bool
	second    Type // of a pair
}

// mnemonic is the printed name.
func (f *Form) mnemonic() string {
	name, _, _ := strings.Cut(f.Name, "/")
	return name
}

// version returns the lowest PTX version that gives the form to the target.
func (f *Form) version(t Target) (Version, bool) {
	best, ok := Version(0), false
	for _, r := range f.since {
		if r.servedBy(t) && (!ok || r.version < best) {
			best, ok = r.version, true
		}
	}
	return best, ok
}

func (f *Form) requirements() string {
	var s []string
	for _, r := range f.since {
		s = append(s, r.String())
	}
	return strings.Join(s, " or ")
}

// rows is the whole instruction set of the package.
func rows() []row {
	var all []row
	for _, part := range [][]row{
		integerRows, floatRows, convertRows, moveRows, memoryRows(), atomicRows, collectiveRows, barrierRows, asyncRows, controlRows, matrixRows, wgmmaRows(),
	} {
		all = append(all, part...)
	}
	return all
}

// forms indexes all forms by name. It is built once, at first use.
var forms = sync.OnceValue(func() map[string]*Form {
	m := map[string]*Form{}
	for i, r := range rows() {
		for _, f := range r.expand() {
			f.row = i
			if m[f.Name] != nil {
				panic(fmt.Sprintf("ptx: form %s in two rows", f.Name))
			}
			m[f.Name] = f
		}
	}
	return m
})

// expand lists the forms of a row in the order of its alternatives.
func (r row) expand() []*Form {
	since := parseSince(r.since)
	var out []*Form
	var walk func(rest, name string, chosen []string)
	walk = func(rest, name string, chosen []string) {
		head, tail, found := strings.Cut(rest, "{")
		name += head
		if !found {
			operands := r.operands
			for i, c := range chosen {
				operands = strings.ReplaceAll(operands, "$"+strconv.Itoa(i+1), strings.TrimPrefix(c, "."))
			}
			out = append(out, &Form{Name: name, operands: parseOperands(operands), since: since})
			return
		}
		inner, tail, _ := strings.Cut(tail, "}")
		for _, alternative := range strings.Split(inner, ",") {
			walk(tail, name+alternative, append(chosen[:len(chosen):len(chosen)], alternative))
		}
	}
	walk(r.pattern, "", nil)
	return out
}

func parseSince(s string) []requirement {
	if s == "" {
		return []requirement{{sm: 80, version: 70}}
	}
	var out []requirement
	for _, one := range strings.Fields(s) {
		arch, version, _ := strings.Cut(strings.TrimPrefix(one, "sm"), "@")
		number := strings.TrimSuffix(arch, "a")
		sm, err := strconv.Atoi(number)
		v, err2 := strconv.Atoi(strings.Replace(version, ".", "", 1))
		if err != nil || err2 != nil {
			panic("ptx: bad requirement " + one)
		}
		out = append(out, requirement{sm, number != arch, Version(v)})
	}
	return out
}

func parseOperands(s string) []spec {
	var out []spec
	for _, word := range strings.Fields(s) {
		out = append(out, parseSpec(word))
	}
	return out
}

func parseSpec(word string) spec {
	var s spec
	switch {
	case word == "#":
		return spec{immediate: true}
	case word == "sym":
		return spec{symbol: true}
	case word[0] == '[':
		return spec{space: strings.Trim(word, "[]")}
	case word[0] == '=':
		s.role, word = write, word[1:]
	case word[0] == '+':
		s.role, word = readWrite, word[1:]
	}
	if count, typ, ok := strings.Cut(word, "x"); ok {
		if n, err := strconv.Atoi(count); err == nil {
			s.count, word = n, typ
		}
	}
	if t, second, ok := strings.Cut(word, "|"); ok {
		s.second, word = typeNamed(second), t
	}
	if t, ok := strings.CutSuffix(word, "#"); ok {
		s.immediate, word = true, t
	}
	if t, ok := strings.CutSuffix(word, "!"); ok {
		s.negatable, word = true, t
	}
	s.typ = typeNamed(word)
	return s
}

func typeNamed(name string) Type {
	t, ok := typesByName[name]
	if !ok {
		panic(fmt.Sprintf("ptx: no type %q", name))
	}
	return t
}
