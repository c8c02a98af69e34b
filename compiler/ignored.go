package compiler

import (
	"errors"

	"llmc/compiler/models"
	"llmc/engine"
	"llmc/internal/dtype"
)

// Names under which provenance keeps what a build was told to ignore; they are those of the command's flags.
const (
	ignoreKey    = "ignore-key"
	ignoreTensor = "ignore-tensor"
)

// ignored returns the choices of a build that let a checkpoint pass although not all of it was understood.
func (o *Options) ignored() []engine.Option {
	var options []engine.Option
	for _, key := range o.IgnoreKeys {
		options = append(options, engine.Option{Name: ignoreKey, Value: key})
	}
	for _, pattern := range o.IgnoreTensors {
		options = append(options, engine.Option{Name: ignoreTensor, Value: pattern})
	}
	return options
}

// SetIgnored takes over what the build of a plan was told to ignore, so that its checkpoint can be read again in the same way. A family file
// must be the one that the plan was built with.
func (o *Options) SetIgnored(plan *engine.Plan) error {
	p, err := plan.Provenance()
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	for _, option := range p.Options {
		switch option.Name {
		case ignoreKey:
			o.IgnoreKeys = append(o.IgnoreKeys, option.Value)
		case ignoreTensor:
			o.IgnoreTensors = append(o.IgnoreTensors, option.Value)
		}
	}
	return o.checkFamily(plan.Path(), p)
}

// importing are the options of the import; kv is the type of cached keys and values.
func (o *Options) importing(kv dtype.Type, targets []string) (models.Options, error) {
	script, err := o.script()
	if err != nil {
		return models.Options{}, err
	}
	takes, err := formatsOf(targets)
	return models.Options{Script: script, KV: kv, IgnoreKeys: o.IgnoreKeys, IgnoreTensors: o.IgnoreTensors, Takes: takes}, err
}
