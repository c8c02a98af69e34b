package compiler

import (
	"fmt"

	"llmc/compiler/models"
	"llmc/engine"
)

// Original is what a plan was built from, where it is read again.
type Original struct {
	Dir    string
	Family string    // path of the family file, if there was one
	Lora   []Adapter // merged into the weights, in order
}

// familyFile names in provenance what a plan was built with; its value is the digest of the file.
const familyFile = "family"

// script reads the family file, once, so that what is recorded of it is what was imported; nil where the model's family is one of those built in.
func (o *Options) script() (*models.Script, error) {
	if o.Family == "" || o.read != nil {
		return o.read, nil
	}
	var err error
	o.read, err = models.ReadScript(o.Family)
	return o.read, err
}

// familyOption records which file said what the model computes.
func (o *Options) familyOption() ([]engine.Option, error) {
	s, err := o.script()
	if s == nil {
		return nil, err
	}
	return []engine.Option{{Name: familyFile, Value: "sha256:" + s.Digest}}, nil
}

// checkFamily wants the family file that the plan was built with, to read its checkpoint again in the same way.
func (o *Options) checkFamily(path string, p *engine.Provenance) error {
	s, err := o.script()
	if err != nil {
		return err
	}
	for _, option := range p.Options {
		switch {
		case option.Name != familyFile:
		case s == nil:
			return fmt.Errorf("%s was built with a family file (%s); give it with --family", path, option.Value)
		case option.Value != "sha256:"+s.Digest:
			return fmt.Errorf("%s was built with another family file (%s) than %s (sha256:%s)", path, option.Value, o.Family, s.Digest)
		default:
			return nil
		}
	}
	if s != nil {
		return fmt.Errorf("%s was built without a family file; leave --family out", path)
	}
	return nil
}
