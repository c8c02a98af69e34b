package compiler

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"llmc/compiler/hf"
	"llmc/compiler/stored"
	"llmc/engine"
)

// Adapter is a LoRA adapter that is merged into a checkpoint.
type Adapter struct {
	Dir          string
	Repo, Commit string // of the Hub, that the directory is a snapshot of; "" when it is none
}

// loraOption is the name under which provenance keeps adapters.
const loraOption = "lora"

// openMerged opens a checkpoint with adapters merged into its weights, one after the other.
func openMerged(dir string, adapters []Adapter) (*hf.Checkpoint, error) {
	c, err := openCheckpoint(dir)
	if err != nil {
		return nil, err
	}
	if len(adapters) > 0 && inCodes(c) {
		return nil, errors.Join(fmt.Errorf("%s: is quantized, and adapters are merged into numbers: take the model that it was made from, and quantize with --quant", dir), c.Close())
	}
	for _, from := range adapters {
		a, err := hf.OpenAdapter(from.Dir)
		if err == nil {
			if err = c.Merge(a); err != nil {
				err = errors.Join(err, a.Close())
			}
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("adapter %s: %w", from.name(), err), c.Close())
		}
	}
	return c, nil
}

// inCodes tells whether a checkpoint is quantized.
func inCodes(c *hf.Checkpoint) bool {
	f := c.Config.Fields()
	if f.Present(stored.ConfigKey) || f.Present(stored.OldConfigKey) {
		return true
	}
	return slices.ContainsFunc(c.Names(), func(name string) bool { return c.Lookup(name).Codes() != nil })
}

// name is how messages call the adapter.
func (a *Adapter) name() string {
	if a.Repo != "" {
		return a.Repo
	}
	return a.Dir
}

// recordAdapters notes in provenance what was merged: where from, as far as that is the same everywhere, and the files.
func recordAdapters(ctx context.Context, p *engine.Provenance, c *hf.Checkpoint, adapters []Adapter) error {
	for i, a := range c.Adapters() {
		from := "directory"
		if adapters[i].Repo != "" {
			from = adapters[i].Repo + "@" + adapters[i].Commit
		}
		p.Options = append(p.Options, engine.Option{Name: loraOption, Value: from})
		digests, err := a.Digests(ctx)
		if err != nil {
			return err
		}
		for _, d := range digests {
			p.Files = append(p.Files, engine.SourceFile{Name: fmt.Sprintf("lora.%d/%s", i+1, d.Name), Bytes: d.Bytes, SHA256: d.SHA256[:]})
		}
	}
	return nil
}
