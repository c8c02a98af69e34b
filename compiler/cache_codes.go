package compiler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	Sources map[string]keptCodes
}

// keptCodes is where the rows of one source lie in the file of codes. Slices are by row.
type keptCodes struct {
	RowBytes int
	States   []byte // rowState
	At       []int64
	Err, Ref []float64
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
	k.Targets, k.Assemblers, k.Cubin, k.KVDType, k.LoraRank, k.Repo, k.Commit = nil, nil, false, "", 0, "", ""
	of := *source
	of.Adapters = slices.Clone(source.Adapters)
	for i := range of.Adapters {
		of.Adapters[i].Repo, of.Adapters[i].Commit = "", ""
	}
	return buildcache.Key([]any{"codes", of, k})
}

// useKept takes over what an earlier calibration has found, if that is all that this build needs.
func (b *build) useKept(ctx context.Context) (bool, error) {
	if b.Cache == nil {
		return false, nil
	}
	key, err := b.codesKey(ctx)
	if err != nil {
		return false, err
	}
	found := b.Cache.FindCodes(key)
	if found == nil {
		return false, nil
	}
	c, err := newKept(found, b.Calibration.Method)
	if err != nil {
		return false, found.Close()
	}
	b.calibrated = c
	if c.method.Smooths() {
		err = b.lowerAll()
	}
	if err == nil {
		err = c.covers(b.weights.jobs)
	}
	if err == nil {
		return true, nil
	}
	c.close()
	b.calibrated = nil
	if c.method.Smooths() {
		return false, b.lowerAll() // without factors again; what is wrong with the model itself shows here
	}
	return false, nil
}

func newKept(found *buildcache.Codes, method string) (*calibrated, error) {
	var k keptCalibration
	if err := buildcache.DecodeIndex(found.Index, &k); err != nil {
		return nil, err
	}
	c := &calibrated{kept: found, tokens: k.Tokens, text: k.Text, codes: &codeFile{file: found.File, sources: map[string]*codesOfSource{}}}
	var err error
	if c.method, err = calib.FindMethod(method); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(k.Factors, &c.factors); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(k.Quality))
	if err := d.Decode(&c.quality); err != nil || c.quality == nil {
		return nil, errors.Join(errNotKept, err)
	}
	for key, from := range k.Sources {
		n := len(from.States)
		if len(from.At) != n || len(from.Err) != n || len(from.Ref) != n {
			return nil, fmt.Errorf("codes of %.100q: %d rows and places of %d", key, n, len(from.At))
		}
		of := &codesOfSource{rowBytes: from.RowBytes, rows: make([]codedRow, n)}
		for i := range of.rows {
			of.rows[i] = codedRow{rowState(from.States[i]), from.At[i], calib.Loss{Err: from.Err[i], Ref: from.Ref[i]}}
		}
		c.codes.sources[key] = of
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
			first, last := j.rowRange(panel)
			if c.codes.stateOf(j, first, last) == rowUnknown {
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
	k := keptCalibration{Tokens: c.tokens, Text: c.text, Sources: map[string]keptCodes{}}
	if k.Factors, err = json.Marshal(c.factors); err != nil {
		return err
	}
	if k.Quality, err = json.Marshal(c.quality); err != nil {
		return err
	}
	for key, from := range c.codes.sources {
		of := keptCodes{RowBytes: from.rowBytes}
		for _, r := range from.rows {
			of.States, of.At = append(of.States, byte(r.state)), append(of.At, r.at)
			of.Err, of.Ref = append(of.Err, r.loss.Err), append(of.Ref, r.loss.Ref)
		}
		k.Sources[key] = of
	}
	return b.Cache.KeepCodes(ctx, key, c.codes.file.Name(), k)
}
