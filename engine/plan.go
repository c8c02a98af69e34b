package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Plan is an opened plan file. Its methods may be called by several goroutines, Close by one when no other is in use.
// The file must not be changed in place while it is open; Writer never does, it replaces the name.
type Plan struct {
	path        string
	file        *os.File
	mapped      []byte // the whole file, read-only
	header      Header
	digest      [sha256.Size]byte
	base        int64 // offset of the weights section
	weights     map[string]*WeightEntry
	loaded      map[string][]byte // sections read by Open, by sectionID
	info        ModelInfo
	headerBytes int64
}

// Path returns the name that the plan was opened by.
func (p *Plan) Path() string { return p.path }

// Digest identifies the plan and everything in it: "sha256:" and the hash of its header.
func (p *Plan) Digest() string { return digestText(p.digest) }

// Header returns the plan's table of contents, not to be changed.
func (p *Plan) Header() *Header { return &p.header }

// Info returns what serving has to know of the model.
func (p *Plan) Info() ModelInfo { return p.info }

// Weights lists all weights in the order of the file, not to be changed.
func (p *Plan) Weights() []WeightEntry { return p.header.Weights }

// Weight returns a weight and its bytes in the mapped file. The bytes are not checked against their hash; see VerifyWeights.
func (p *Plan) Weight(name string) (*WeightEntry, []byte, error) {
	w := p.weights[name]
	if w == nil {
		return nil, nil, fmt.Errorf("weight %s: %w", name, ErrNotFound)
	}
	return w, p.weightBytes(w), nil
}

func (p *Plan) weightBytes(w *WeightEntry) []byte {
	at := p.base + w.Offset
	return p.mapped[at : at+w.Bytes : at+w.Bytes]
}

// ReadWeight copies bytes of a weight from at on. For who needs them once that is cheaper than reading the mapping, whose pages come one by one.
func (p *Plan) ReadWeight(w *WeightEntry, to []byte, at int64) error {
	if at < 0 || int64(len(to)) > w.Bytes-at {
		return fmt.Errorf("%s: %d bytes at %d of weight %s, which has %d", p.path, len(to), at, w.Name, w.Bytes)
	}
	if _, err := p.file.ReadAt(to, p.base+w.Offset+at); err != nil {
		return fmt.Errorf("%s: weight %s: %w", p.path, w.Name, err)
	}
	return nil
}

// OverwriteWeight puts bytes in the place of those of a weight from at on, in the file, so that all who have the plan open see them. Hashes do not hold afterwards: it is for a build that runs a model
// whose weights it changes, and removes the file.
func (p *Plan) OverwriteWeight(w *WeightEntry, data []byte, at int64) error {
	if at < 0 || int64(len(data)) > w.Bytes-at {
		return fmt.Errorf("%s: %d bytes at %d of weight %s, which has %d", p.path, len(data), at, w.Name, w.Bytes)
	}
	file, err := os.OpenFile(p.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(data, p.base+w.Offset+at)
	return errors.Join(err, file.Close())
}

// Section returns the bytes of a section, checked against their hash. name is "" for kinds of which there is one.
// The weights section is not to be had this way; see Weight.
func (p *Plan) Section(kind, name string) ([]byte, error) {
	id := sectionID(kind, name)
	if data, ok := p.loaded[id]; ok {
		return data, nil
	}
	s := p.header.find(kind, name)
	if s == nil || kind == KindWeights {
		return nil, fmt.Errorf("section %s: %w", id, ErrNotFound)
	}
	data, err := p.readSection(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	return data, nil
}

// Names lists the sections of a kind, in the order of the file.
func (p *Plan) Names(kind string) []string {
	var names []string
	for i := range p.header.Sections {
		if s := &p.header.Sections[i]; s.Kind == kind {
			names = append(names, s.Name)
		}
	}
	return names
}

// Targets lists the targets that the plan holds a program of the function for.
func (p *Plan) Targets(function string) []string {
	var targets []string
	for _, name := range p.Names(KindProgram) {
		if f, target, ok := strings.Cut(name, "/"); ok && f == function {
			targets = append(targets, target)
		}
	}
	return targets
}

// Functions lists the functions that the plan holds programs of, in the order of the file.
func (p *Plan) Functions() []string {
	var functions []string
	for _, name := range p.Names(KindProgram) {
		if f, _, ok := strings.Cut(name, "/"); ok && !slices.Contains(functions, f) {
			functions = append(functions, f)
		}
	}
	return functions
}

// Main is the function that serves what the plan is for: "step" where it generates, or else the first one.
func (p *Plan) Main() string {
	functions := p.Functions()
	if len(functions) == 0 || slices.Contains(functions, StepFunc) {
		return StepFunc
	}
	return functions[0]
}

// Program decodes and validates the program of a function for a target: every index, range and size in it is then safe to use.
func (p *Plan) Program(function, target string) (*Program, error) {
	return p.CardsProgram(function, target, 1)
}

// CardsProgram is the program of a function that each of so many cards runs; that for one card alone where that is 1 or less.
func (p *Plan) CardsProgram(function, target string, cards int) (*Program, error) {
	kind, name := KindProgram, programName(function, target)
	if cards > 1 {
		kind, name = KindCardsProgram, cardsName(function, target, cards)
	}
	data, ok := p.loaded[sectionID(kind, name)]
	if !ok {
		return nil, fmt.Errorf("%s: program of %s for %s: %w; it has %s", p.path, function, strings.TrimPrefix(name, function+"/"), ErrNotFound, strings.Join(p.Names(kind), ", "))
	}
	program, err := decodeProgram(name, data, p.weights, &p.info)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	return program, nil
}

// Programs are those of all functions for a target, in the order of Functions. They share their caches.
func (p *Plan) Programs(target string) ([]*Program, error) { return p.CardsPrograms(target, 1) }

// CardsPrograms are those of all functions that each of so many cards runs, likewise; those for one card alone where that is 1 or less.
func (p *Plan) CardsPrograms(target string, cards int) ([]*Program, error) {
	var programs []*Program
	for _, function := range p.Functions() {
		program, err := p.CardsProgram(function, target, cards)
		if err != nil {
			return nil, err
		}
		if len(programs) > 0 && !slices.Equal(program.Caches, programs[0].Caches) {
			return nil, fmt.Errorf("%s: %w %s: it has other caches than function %s", p.path, ErrProgram, programName(function, target), programs[0].Func)
		}
		programs = append(programs, program)
	}
	return programs, nil
}

// Provenance returns what the plan was built from.
func (p *Plan) Provenance() (*Provenance, error) {
	var out Provenance
	return &out, p.decodeSection(KindProvenance, &out)
}

// Rules returns which rewrites fired and how often.
func (p *Plan) Rules() ([]RuleCount, error) {
	var out ruleList
	return out.Rules, p.decodeSection(KindRules, &out)
}

func (p *Plan) decodeSection(kind string, v any) error {
	data, err := p.Section(kind, "")
	if err != nil {
		return err
	}
	if err := unmarshal(data, v, false); err != nil {
		return fmt.Errorf("%s: %w: section %s: %w", p.path, ErrFormat, kind, err)
	}
	return nil
}

// Close unmaps the file. Slices returned by Weight must not be used after it.
func (p *Plan) Close() error {
	var err error
	if p.mapped != nil {
		err = unmapFile(p.mapped)
		p.mapped = nil
	}
	if p.file != nil {
		if e := p.file.Close(); err == nil {
			err = e
		}
		p.file = nil
	}
	return err
}
