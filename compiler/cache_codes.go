package compiler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"llmc/compiler/buildcache"
	"llmc/compiler/calib"
)

// keptCalibration is what of a calibration is kept, beside the codes: enough to build for other targets, or with another cache of keys and values, without running the model.
type keptCalibration struct {
	Tokens  int
	Text    string // its hash
	Factors []byte // JSON of calibrated.factors
	Quality []byte // JSON
	Mix     []byte // JSON of what a budget has chosen
	Sources map[string][]int64
}

// errNotKept says that a calibration has to be made anew.
var errNotKept = errors.New("not kept")

// codesKey names the codes that a calibration chooses: they depend on neither targets nor what these make of the cache of keys and values.
func (b *build) codesKey(ctx context.Context) (string, error) {
	source, err := b.readSource(ctx)
	if err != nil {
		return "", err
	}
	k := b.keyed()
	k.Assemblers, k.Cubin, k.KVDType, k.LoraRank, k.Cards, k.Repo, k.Commit = nil, false, "", 0, nil, "", ""
	if !b.Budget.given() { // which chooses among formats that all targets have
		k.Targets = nil
	}
	of := *source
	of.Adapters = slices.Clone(source.Adapters)
	for i := range of.Adapters {
		of.Adapters[i].Repo, of.Adapters[i].Commit = "", ""
	}
	return buildcache.Key([]any{"codes", of, k})
}

// useKept takes over what an earlier calibration has found, if that is all that this build needs.
func (b *build) useKept(ctx context.Context) (bool, error) {
	if b.earlier == nil {
		return false, nil
	}
	key, err := b.codesKey(ctx)
	if err != nil {
		return false, err
	}
	found := b.earlier.FindCodes(key)
	if found == nil {
		return false, nil
	}
	c, err := newKept(found, b.Calibration.Method)
	if err != nil {
		return false, found.Close()
	}
	b.calibrated, c.windows = c, b.Calibration.Windows
	if c.method.Smooths() || len(c.mixed) > 0 {
		err = b.override(c.mixed)
	}
	if err == nil {
		err = c.covers(b.weights.jobs)
	}
	if err == nil {
		return true, nil
	}
	c.close()
	b.calibrated = nil
	return false, b.override(nil) // without factors again; what is wrong with the model itself shows here
}

func newKept(found *buildcache.Codes, method string) (*calibrated, error) {
	var k keptCalibration
	if err := buildcache.DecodeIndex(found.Index, &k); err != nil {
		return nil, err
	}
	c := &calibrated{kept: found, tokens: k.Tokens, text: k.Text, codes: &codeFile{file: found.File, sources: k.Sources}}
	var err error
	if c.method, err = calib.FindMethod(method); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(k.Factors, &c.factors); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(k.Mix, &c.mixed); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(k.Quality))
	if err := d.Decode(&c.quality); err != nil || c.quality == nil {
		return nil, errors.Join(errNotKept, err)
	}
	return c, nil
}

// covers tells whether all rows whose codes the calibration chooses have been there.
func (c *calibrated) covers(jobs []*packJob) error {
	for _, j := range jobs {
		if !j.choosable() {
			continue
		}
		for panel := range j.panels {
			if c.codes.stateOf(j.sourceRows(j.rowRange(panel))) == rowUnknown {
				return errNotKept
			}
		}
	}
	return nil
}

// keepCodes puts what the calibration has found into the cache, unless it is from there.
func (b *build) keepCodes(ctx context.Context) error {
	c := b.calibrated
	if b.Calibration == nil || c == nil || c.kept != nil || c.quality == nil {
		return nil
	}
	key, err := b.codesKey(ctx)
	if err != nil {
		return err
	}
	k := keptCalibration{Tokens: c.tokens, Text: c.text, Sources: c.codes.sources}
	if k.Factors, err = json.Marshal(c.factors); err != nil {
		return err
	}
	if k.Mix, err = json.Marshal(b.Override[len(b.askedFor()):]); err != nil {
		return err
	}
	if k.Quality, err = json.Marshal(c.quality); err != nil {
		return err
	}
	return b.Cache.KeepCodes(ctx, key, c.codes.file.Name(), k)
}
