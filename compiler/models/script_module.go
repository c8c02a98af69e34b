package models

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"llmc/internal/dtype"
	"llmc/ir"
)

// scriptModule is what a family file's step function builds with: the step's inputs (ids, positions, ropelen, rows), weights, and a method for
// each op of the IR.
type scriptModule struct {
	in    *importer
	step  ir.Step
	kv    dtype.Type
	ops   int
	turns []*scriptRope // those declared so far
}

// maxScriptOps bounds what a file makes: many more ops than any model has.
const maxScriptOps = 1 << 20

func newScriptModule(in *importer, kv dtype.Type) *scriptModule {
	return &scriptModule{in: in, step: in.Step(), kv: kv}
}

func (m *scriptModule) String() string        { return "module" }
func (m *scriptModule) Type() string          { return "module" }
func (m *scriptModule) Freeze()               {}
func (m *scriptModule) Truth() starlark.Bool  { return true }
func (m *scriptModule) Hash() (uint32, error) { return 0, fmt.Errorf("module has no hash") }

// call is what Starlark gives a method.
type call struct {
	name   string
	args   starlark.Tuple
	kwargs []starlark.Tuple
}

func (c *call) unpack(pairs ...any) error {
	return starlark.UnpackArgs(c.name, c.args, c.kwargs, pairs...)
}

// moduleMethods are those that are not ops, or ops with what the step has given to them.
var moduleMethods = map[string]func(m *scriptModule, c *call) (starlark.Value, error){
	"cache": (*scriptModule).cache, "matrix": (*scriptModule).matrix, "bias": (*scriptModule).bias, "vector": (*scriptModule).vector,
	"table": (*scriptModule).table, "constant": (*scriptModule).constant, "embeddings": (*scriptModule).embeddings, "has": (*scriptModule).has,
	"linear": (*scriptModule).linear, "rope": (*scriptModule).rope, "attention": (*scriptModule).attention,
}

func (m *scriptModule) inputs() map[string]*ir.Value {
	return map[string]*ir.Value{"ids": m.step.IDs, "positions": m.step.Positions, "ropelen": m.step.RopeLen, "rows": m.step.Rows}
}

// opOf returns the op that a method is named after: kv_write is kv.write.
func opOf(name string) *ir.OpInfo {
	i := slices.IndexFunc(ir.Ops, func(op *ir.OpInfo) bool { return strings.ReplaceAll(op.Name, ".", "_") == name })
	if i < 0 {
		return nil
	}
	return ir.Ops[i]
}

func (m *scriptModule) AttrNames() []string {
	names := append(sortedNames(moduleMethods), sortedNames(m.inputs())...)
	for _, op := range ir.Ops {
		names = append(names, strings.ReplaceAll(op.Name, ".", "_"))
	}
	return names
}

func (m *scriptModule) Attr(name string) (starlark.Value, error) {
	if input := m.inputs()[name]; input != nil {
		return &scriptValue{input, m}, nil
	}
	method := moduleMethods[name]
	if op := opOf(name); method == nil && op != nil {
		method = func(m *scriptModule, c *call) (starlark.Value, error) { return m.op(op, c) }
	}
	if method == nil {
		return nil, nil
	}
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		c := &call{name: name, args: args}
		var label string
		for _, pair := range kwargs {
			if text, ok := starlark.AsString(pair[1]); ok && pair[0] == starlark.String("label") {
				label = text
				continue
			}
			c.kwargs = append(c.kwargs, pair)
		}
		y, err := method(m, c)
		if err == nil {
			err = m.in.Err()
		}
		if v, ok := y.(*scriptValue); ok && label != "" && err == nil {
			v.v.As(label)
		}
		return y, err
	}), nil
}

// op adds an op as the table has it: operands by place or by name, attributes by name.
func (m *scriptModule) op(info *ir.OpInfo, c *call) (starlark.Value, error) {
	if len(c.args) > len(info.Args) {
		return nil, fmt.Errorf("%s: %d operands, it takes %d", c.name, len(c.args), len(info.Args))
	}
	args := make([]*ir.Value, len(info.Args))
	set := func(i int, v starlark.Value) (err error) {
		if args[i], err = operand(v); err != nil {
			err = fmt.Errorf("%s: operand %s: %w", c.name, info.Args[i].Name, err)
		}
		return err
	}
	for i, v := range c.args {
		if err := set(i, v); err != nil {
			return nil, err
		}
	}
	var attrs []ir.Attr
	for _, pair := range c.kwargs {
		name := string(pair[0].(starlark.String))
		if i := slices.IndexFunc(info.Args, func(a ir.ArgInfo) bool { return a.Name == name }); i >= 0 {
			if err := set(i, pair[1]); err != nil {
				return nil, err
			}
			continue
		}
		i := slices.IndexFunc(info.Attrs, func(a ir.AttrInfo) bool { return a.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%s has neither an operand nor an attribute %s; see docs/ops.md", info.Name, name)
		}
		attr, err := attribute(&info.Attrs[i], pair[1])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		attrs = append(attrs, attr)
	}
	return m.add(info.Name, args, attrs...)
}

// add adds an op and returns its result, or all of them.
func (m *scriptModule) add(kind string, args []*ir.Value, attrs ...ir.Attr) (starlark.Value, error) {
	if m.ops++; m.ops > maxScriptOps {
		return nil, fmt.Errorf("more than %d ops", maxScriptOps)
	}
	results := m.in.Op(kind, args, attrs...)
	if err := m.in.Err(); err != nil {
		return nil, err
	}
	var all starlark.Tuple
	for _, r := range results {
		all = append(all, &scriptValue{r, m})
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}
