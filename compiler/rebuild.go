package compiler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"llmc/compiler/calib"
	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/internal/version"
	"llmc/passes"
)

// recordedOptions are the choices that provenance keeps, by name: how a build is told them again. What only says what has come of others has none.
var recordedOptions = map[string]func(o *Options, value string) error{
	"quant":    func(o *Options, value string) error { o.Quant = value; return nil },
	"kv-dtype": func(o *Options, value string) error { o.KVDType = value; return CheckKVDType(value) },
	"override": func(o *Options, value string) error {
		pattern, format, ok := strings.Cut(value, "=")
		if _, err := path.Match(pattern, ""); !ok || err != nil {
			return errors.New("expected PATTERN=FORMAT")
		}
		o.Override = append(o.Override, passes.Override{Pattern: pattern, Format: format})
		return nil
	},
	"rotate": func(o *Options, value string) error { o.Rotation = passes.Rotation(value); return nil },
	"weights": func(o *Options, value string) error {
		seed, err := strconv.ParseUint(strings.TrimPrefix(value, "random:"), 10, 64)
		o.Random = &seed
		return err
	},
	"max-lora-rank": func(o *Options, value string) (err error) { o.LoraRank, err = strconv.Atoi(value); return err },
	"tp": func(o *Options, value string) error {
		n, err := strconv.Atoi(value)
		o.Cards = append(o.Cards, n)
		return err
	},
	"requantize": func(o *Options, value string) (err error) { o.Requantize, err = strconv.ParseBool(value); return err },
	ignoreKey:    func(o *Options, value string) error { o.IgnoreKeys = append(o.IgnoreKeys, value); return nil },
	ignoreTensor: func(o *Options, value string) error { o.IgnoreTensors = append(o.IgnoreTensors, value); return nil },
	"disabled":   func(o *Options, value string) error { o.Disabled = append(o.Disabled, value); return nil },
	methodOption: ofCalibration(func(c *Calibration, value string) error {
		_, err := calib.FindMethod(value)
		c.Method = value
		return err
	}),
	windowsOption: ofCalibration(func(c *Calibration, value string) (err error) { c.Windows, err = strconv.Atoi(value); return err }),
	// A format that checkpoints have codes in is no value of quant: codes were kept, as auto does.
	keptOption: func(o *Options, _ string) error {
		if !o.Requantize {
			o.Quant = Auto
		}
		return nil
	},
	familyFile: nil, loraOption: nil, "calib": nil, "base": nil, // see SetRecorded
}

// ofCalibration is for options of a calibration, whose text must be given.
func ofCalibration(set func(c *Calibration, value string) error) func(o *Options, value string) error {
	return func(o *Options, value string) error {
		if o.Calibration == nil {
			return errors.New("its codes were chosen by a calibration: give the same text with --calib")
		}
		return set(o.Calibration, value)
	}
}

// SetRecorded has a build make the choices that a plan was built with. The family file, the adapters and the text of a calibration must be given.
func (o *Options) SetRecorded(plan *engine.Plan) error {
	if plan.Info().Adapter != nil {
		return fmt.Errorf("%s: is an adapter's plan; plans of models are built again", plan.Path())
	}
	p, err := plan.Provenance()
	if err != nil {
		return fmt.Errorf("%w; only plans that say what they were built from are built again", err)
	}
	o.Archs, o.NoFallback = plan.Targets(plan.Main()), true // all that there are, by name
	o.Cubin = len(plan.Names(engine.KindCubin)) > 0
	adapters, calibrated := 0, false
	for _, option := range p.Options {
		set, known := recordedOptions[option.Name]
		if !known {
			return fmt.Errorf("%s was built with %s=%.100q, which this version (%s) does not know; use the one that built it (%.100s)", plan.Path(), option.Name, option.Value, version.Full(), p.Compiler)
		}
		if set != nil {
			if err := set(o, option.Value); err != nil {
				return fmt.Errorf("%s was built with %s=%.100q: %w", plan.Path(), option.Name, option.Value, err)
			}
		}
		switch option.Name {
		case loraOption:
			adapters++
		case methodOption:
			calibrated = true
		}
	}
	if adapters != len(o.Lora) {
		return fmt.Errorf("%s was built with %d adapters merged into it, and %d are given; give the same ones with --lora", plan.Path(), adapters, len(o.Lora))
	}
	if o.Calibration != nil && !calibrated {
		return fmt.Errorf("%s was built without a calibration; leave --calib out", plan.Path())
	}
	if o.Repo == "" && o.Random == nil { // a directory: its files are compared, its name is the plan's to say
		o.Repo, o.Commit = p.Model, p.Revision
	}
	return o.checkFamily(plan.Path(), p)
}

// Rebuild builds a plan again from its checkpoint, with the options that it records, and compares all bytes. o has the checkpoint, and what SetRecorded asks for. The file that it
// makes goes into a directory for temporary files and is removed.
func Rebuild(ctx context.Context, plan *engine.Plan, o Options) (c *dump.Comparison, err error) {
	if err := o.SetRecorded(plan); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "llmc-rebuild-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	o.Out = filepath.Join(dir, "again.plan")
	if _, err := Build(ctx, o); err != nil {
		return nil, fmt.Errorf("building %s again: %w", plan.Path(), err)
	}
	again, err := engine.Open(o.Out)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, again.Close()) }()
	return dump.Compare(plan, again)
}

// Changed names what is not the same in a plan that was built again, sections and weights, at most so many.
func Changed(c *dump.Comparison, most int) string {
	var names []string
	for _, d := range c.Differences {
		if d.What != "program" && d.What != "model" { // their sections are there too
			names = append(names, strings.TrimSpace(d.What+" "+d.Name))
		}
	}
	names = slices.Compact(names)
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}
