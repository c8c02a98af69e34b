package models

import (
	"fmt"

	"go.starlark.net/starlark"

	"llmc/compiler/hf"
	"llmc/compiler/stored"
	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/ir"
)

// importScript builds the module of a checkpoint as the family file says.
func importScript(c *hf.Checkpoint, script *Script, opts Options) (*Model, error) {
	run, err := script.start()
	if err != nil {
		return nil, err
	}
	names, err := run.names()
	if err != nil {
		return nil, err
	}
	if err := names.accepts(c.Config, script.Path); err != nil {
		return nil, err
	}
	fam := &family{modelType: c.Config.ModelType, ignored: names.ignored, unused: names.unused}
	if len(names.table) > 0 {
		fam.names.table = names.table[0]
	}
	if err := stored.Attach(c); err != nil {
		return nil, err
	}
	reader := &scriptConfig{f: c.Config.Fields()}
	config, err := run.call("config", reader)
	if err != nil {
		return nil, err
	}
	if checkKeys(reader.f, fam, reader.read, opts.IgnoreKeys); reader.f.Err() != nil {
		return nil, reader.f.Err()
	}
	in := newImporter(c, fam)
	in.readCodes(&opts)
	if err := in.runStep(run, config, opts.KV); err != nil {
		return nil, err
	}
	module, err := in.Module()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", script.Path, err)
	}
	if err := in.checkUnused(fam, opts.IgnoreTensors); err != nil {
		return nil, err
	}
	info, err := in.scriptInfo(module, config, reader)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", script.Path, err)
	}
	return &Model{module, info}, nil
}

// runStep builds the function "step" as the file's function of that name says.
func (in *importer) runStep(run *scriptRun, config starlark.Value, kv dtype.Type) error {
	if kv == dtype.Invalid {
		kv = dtype.F32
	}
	m := newScriptModule(in, kv)
	result, err := run.call("step", m, config)
	if err != nil {
		return err
	}
	var returned []*ir.Value
	for _, v := range tupled(result) {
		value, ok := v.(*scriptValue)
		if !ok {
			return fmt.Errorf("%s: step returns %s; it must return the logits and the cache", run.Path, v.Type())
		}
		returned = append(returned, value.v)
	}
	if len(returned) != 2 || m.step.Token == nil || !returned[1].Type.Equal(m.step.Token.Type) {
		return fmt.Errorf("%s: step returns %d values; it must return the logits and the cache's last state", run.Path, len(returned))
	}
	in.Return(returned...)
	return nil
}

func tupled(v starlark.Value) []starlark.Value {
	if all, ok := v.(starlark.Tuple); ok {
		return all
	}
	return []starlark.Value{v}
}

// scriptInfo takes what serving has to know from what config returned, and from the module.
func (in *importer) scriptInfo(m *ir.Module, config starlark.Value, reader *scriptConfig) (Info, error) {
	info := Info{Family: m.Name, RopeSalt: reader.salt, DType: in.commonDType(), Parameters: parameters(m)}
	sizes, ok := config.(starlark.HasAttrs)
	if !ok {
		return info, fmt.Errorf("config returns %s; it must return a struct", config.Type())
	}
	var maxContext int
	for _, size := range []struct {
		name string
		to   *int
	}{
		{"vocab", &info.Vocab}, {"hidden", &info.Hidden}, {"inner", &info.Inner}, {"layers", &info.Layers}, {"heads", &info.Heads},
		{"kv_heads", &info.KVHeads}, {"dim", &info.HeadDim}, {"max_context", &maxContext},
	} {
		v, err := sizes.Attr(size.name)
		if err != nil || v == nil {
			return info, fmt.Errorf("config returns a struct without %s", size.name)
		}
		if *size.to, err = starlark.AsInt32(v); err != nil || *size.to < 1 {
			return info, fmt.Errorf("config returns %s = %s; it must be a whole number above 0", size.name, v)
		}
	}
	info.MaxContext = int64(maxContext)
	logits := m.Func("step").Results[0].Type
	if want := ir.Tensor(dtype.F32, sym.Of(sym.R), sym.Const(int64(info.Vocab))); !logits.Equal(want) {
		return info, fmt.Errorf("step returns logits of %v; they must be %v", logits, want)
	}
	return info, nil
}
