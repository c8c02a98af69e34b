package template

import (
	"slices"
	"strings"
)

// function is a built-in: a filter, a test, a method or a global.
type function struct {
	name       string
	params     []string
	required   int
	positional bool // parameters cannot be given by name, as in Python's functions written in C
	rest       bool // takes any number of positional arguments
	keywords   bool // takes any keywords
	unsafe     bool // hidden by the sandbox, because it changes its object
	call       func(st *state, self Value, a args) (Value, error)
}

// args are arguments sorted to the parameters of a function.
type args struct {
	values   []Value // one per parameter; nil when not given
	rest     []Value
	names    []string // of further keywords
	keywords []Value
}

// builtin describes a function by a signature such as "width? fillchar? /": a question mark makes a parameter optional,
// "/" keeps all of them from being given by name, "*" and "**" take further arguments. self, the object of a method or
// the input of a filter, is not part of the signature.
func builtin(name, signature string, call func(st *state, self Value, a args) (Value, error)) *function {
	f := &function{name: name, call: call}
	for _, p := range strings.Fields(signature) {
		switch p {
		case "/":
			f.positional = true
		case "*":
			f.rest = true
		case "**":
			f.keywords = true
		default:
			p, optional := strings.CutSuffix(p, "?")
			f.params = append(f.params, p)
			if !optional {
				f.required = len(f.params)
			}
		}
	}
	return f
}

// invoke sorts the arguments and calls.
func (f *function) invoke(st *state, self Value, c callArgs) (Value, error) {
	if err := st.step(); err != nil {
		return nil, err
	}
	a := args{values: c.positional}
	if n := len(f.params); len(a.values) > n {
		if !f.rest {
			return nil, typeError("%s() takes at most %d arguments (%d given)", f.name, n, len(c.positional))
		}
		a.values, a.rest = c.positional[:n:n], c.positional[n:]
	}
	given := len(a.values)
	for len(a.values) < len(f.params) {
		a.values = append(a.values, nil)
	}
	for i, name := range c.names {
		at := slices.Index(f.params, name)
		switch {
		case at < 0 && f.keywords:
			a.names = append(a.names, name)
			a.keywords = append(a.keywords, c.values[i])
		case at < 0 || f.positional:
			return nil, typeError("%s() got an unexpected keyword argument '%s'", f.name, name)
		case at < given:
			return nil, typeError("%s() got multiple values for argument '%s'", f.name, name)
		default:
			a.values[at] = c.values[i]
		}
	}
	for i := range f.required {
		if a.values[i] == nil {
			return nil, typeError("%s() missing required argument '%s'", f.name, f.params[i])
		}
	}
	return f.call(st, self, a)
}

// or returns argument i, or fallback when it was not given.
func (a args) or(i int, fallback Value) Value {
	if a.values[i] == nil {
		return fallback
	}
	return a.values[i]
}

// given tells whether argument i is there and not None.
func (a args) given(i int) bool { return a.values[i] != nil && a.values[i] != None }

// int reads an argument that must be an integer.
func (a args) int(i, fallback int) (int, error) {
	if a.values[i] == nil {
		return fallback, nil
	}
	return intArg(a.values[i])
}

// text reads an argument that must be a string.
func (a args) text(i int, fallback string) (string, error) {
	if a.values[i] == nil {
		return fallback, nil
	}
	s, ok := asText(a.values[i])
	if !ok {
		return "", typeError("expected str instance, %s found", a.values[i].typeName())
	}
	return s, nil
}

// flag reads an argument that counts as true or false.
func (a args) flag(i int) bool { return a.values[i] != nil && truth(a.values[i]) }

// boundMethod is a method read as a value, or a global function.
type boundMethod struct {
	fn   *function
	self Value // nil for functions
}

func (*boundMethod) typeName() string { return "builtin_function_or_method" }

// environment holds what every template can use.
type environment struct {
	filters, tests map[string]*function
	globals        map[string]Value
	methods        map[string]map[string]*function // class -> name
}

// method returns the method of an object's class, or nil.
func (env *environment) method(object Value, name string) *function {
	return env.methods[object.typeName()][name]
}

// named puts functions into a table.
func named(functions ...*function) map[string]*function {
	table := make(map[string]*function, len(functions))
	for _, f := range functions {
		table[f.name] = f
	}
	return table
}
