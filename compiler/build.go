package compiler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"llmc/compiler/buildcache"
	"llmc/compiler/calib"
	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/internal/cubin"
	"llmc/internal/quant"
	"llmc/internal/version"
	"llmc/ir"
	"llmc/passes"
)

// memoryTarget is where the garbage collector begins to work harder: far below the 2 GB that a build may take.
const memoryTarget = 512 << 20

// Build compiles a checkpoint into a plan file. The file appears whole or not at all; its bytes depend on the checkpoint and the
// options, not on the machine, the threads, paths or time.
func Build(ctx context.Context, o Options) (report *Report, err error) {
	start, watch := time.Now(), watchAnon()
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryTarget))
	defer func() {
		if crash := recover(); crash != nil {
			report, err = nil, crashError(crash)
		}
		if peak := watch.end(); report != nil {
			report.PeakAnonBytes, report.Seconds = peak, time.Since(start).Seconds()
		}
	}()
	b := &build{Options: &o}
	if err := o.checkGate(); err != nil {
		return nil, err
	}
	if b.targets, err = o.resolve(); err != nil {
		return nil, err
	}
	if err := o.checkCards(b.targets); err != nil {
		return nil, err
	}
	if err := o.startBudget(b.targets); err != nil {
		return nil, err
	}
	if err := b.findAssembler(); err != nil {
		return nil, err
	}
	if m := o.Calibration; m != nil && m.Method == calib.SmoothQuant && o.Rotation == passes.RotateAuto {
		o.Rotation = passes.RotateNone // which it is instead of
	}
	if err := b.open(); err != nil {
		return nil, err
	}
	defer b.checkpoint.Close()
	b.openCache()
	b.hashing = startHashing(ctx, b.checkpoint, b.Threads, b.Progress, b.sums)
	defer b.hashing.stop()
	if err := b.importModel(); err != nil { // what is refused is refused before its files have been hashed
		return nil, err
	}
	if report, err := b.fromCache(ctx); report != nil || err != nil {
		return report, err
	}
	if err := b.lowerAll(); err != nil {
		return nil, err
	}
	if b.Calibration != nil {
		if err := b.choose(ctx); err != nil {
			return nil, err
		}
		defer b.calibrated.close()
	}
	if report, err = b.write(ctx); err != nil {
		return nil, err
	}
	b.keep(ctx, report)
	b.calibrated.finish()
	return report, nil
}

// choose calibrates, unless an earlier build has left what that finds.
func (b *build) choose(ctx context.Context) error {
	if kept, err := b.useKept(ctx); kept || err != nil {
		return err
	}
	var err error
	if b.calibrated, err = b.calibrate(ctx); err != nil {
		return err
	}
	if !b.calibrated.method.Smooths() {
		return nil
	}
	if err := b.lowerAll(); err != nil {
		b.calibrated.close()
		return err
	}
	return nil
}

// build is the state of one Build.
type build struct {
	*Options
	targets    []engine.Target
	checkpoint *hf.Checkpoint
	hashing    *hashing
	policy     passes.Policy
	format     *quant.Format // of a target of which nothing is known
	quant      string        // what the policy's format is on the targets
	model      *models.Model
	mixed      int // of the overrides, the last ones: a budget has chosen them
	lowered    []*lowered
	assemblers []cubin.Assembler // of which one makes the cubins
	weights    *weightTable
	origin     *engine.Provenance
	program    string            // hash of this program, where there is a cache
	reads      *buildSource      // once it is known
	earlier    *buildcache.Cache // Cache, unless that is empty: then nothing is looked up, which would wait for all hashes
}

func (b *build) open() error {
	var err error
	if b.policy, b.format, err = policy(b.Quant); err != nil {
		return err
	}
	b.policy.Overrides, b.policy.Requantize = b.Override, b.Requantize
	if b.quant, err = formatOn(b.policy.Linear, b.targets); err != nil {
		return err
	}
	if b.Random != nil {
		b.checkpoint, err = hf.OpenRandom(b.Model, *b.Random)
	} else {
		b.checkpoint, err = openMerged(b.Model, b.Lora)
	}
	return err
}

// importModel reads what the checkpoint asks to be computed.
func (b *build) importModel() error {
	kv, err := kvDType(b.KVDType, b.format, b.targets)
	if err != nil {
		return err
	}
	var names []string
	for _, t := range b.targets {
		names = append(names, t.Name)
	}
	importing, err := b.importing(kv, names)
	if err != nil {
		return err
	}
	importing.Dequantize = !b.policy.KeepStored && (b.format.Plain() || b.Requantize)
	if b.model, err = models.Import(b.checkpoint, importing); err != nil {
		return err
	}
	if err := b.checkCaches(); err != nil {
		return err
	}
	return b.checkLoraRank()
}

// lowerAll lowers the model for every target, with its columns scaled where a calibration has been there that scales them.
func (b *build) lowerAll() error {
	b.weights, b.lowered, b.smooth = newWeightTable(), nil, b.smoother()
	for _, t := range b.targets {
		l, err := b.lowerFor(b.model.Module, t, b.policy, b.weights)
		if err != nil {
			return fmt.Errorf("target %s: %w", t.Name, err)
		}
		b.lowered = append(b.lowered, l)
	}
	return nil
}

// write makes all sections and the file.
func (b *build) write(ctx context.Context) (*Report, error) {
	bits, parameters := storedBits(b.weights.of(b.lowered[0].module))
	info, err := b.info(bits, parameters)
	if err != nil {
		return nil, err
	}
	if info.Image, err = imageSettings(b.checkpoint, &b.model.Info); err != nil {
		return nil, err
	}
	sections, err := b.sections(ctx, &info)
	if err != nil {
		return nil, err
	}
	quality, err := b.measure(ctx)
	if err != nil {
		return nil, err
	}
	donors, held, err := b.donors(ctx)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	out := output{donors: donors, checkpoint: b.checkpoint, hashing: b.hashing, origin: b.origin, jobs: b.weights.jobs, path: b.Out, gate: b.Gate, calibrated: b.calibrated, quality: quality, threads: b.Threads, progress: b.Progress}
	report, err := out.write(ctx, sections)
	if err != nil {
		return nil, err
	}
	report.Quant, report.BitsPerWeight, report.Parameters = b.formatName(), bits, parameters
	report.Stored = b.stored()
	for _, t := range b.targets {
		report.Targets = append(report.Targets, t.Name)
	}
	return report, nil
}

// sections makes everything of the plan but the weights.
func (b *build) sections(ctx context.Context, info *engine.ModelInfo) ([]engine.Content, error) {
	docs, contents, err := readDocuments(b.checkpoint)
	if err != nil {
		return nil, err
	}
	tok, _, err := docs.tokenizerContent()
	if err != nil {
		return nil, err
	}
	if tok != nil {
		contents = append(contents, *tok)
	}
	templates, err := docs.templateContents(b.checkpoint)
	if err != nil {
		return nil, err
	}
	contents = append(contents, templates...)
	if b.origin, err = b.provenance(ctx); err != nil {
		return nil, err
	}
	for _, make := range []func() (engine.Content, error){
		func() (engine.Content, error) { return engine.InfoContent(info) },
		func() (engine.Content, error) { return engine.ProvenanceContent(b.origin) },
		func() (engine.Content, error) { return engine.RulesContent(ruleCounts(b.lowered[0].report)) },
	} {
		c, err := make()
		if err != nil {
			return nil, err
		}
		contents = append(contents, c)
	}
	contents = append(contents, engine.Content{Kind: engine.KindIR, Name: "import", Data: []byte(ir.Print(b.model.Module))})
	for i, l := range b.lowered {
		final := finalIR
		if i > 0 {
			final += "/" + l.target
		}
		contents = append(contents, engine.Content{Kind: engine.KindIR, Name: final, Data: []byte(ir.Print(l.module))})
		for _, program := range l.programs {
			c, err := engine.ProgramContent(program)
			if err != nil {
				return nil, err
			}
			contents = append(contents, c)
		}
		code, err := b.code(ctx, l)
		if err != nil {
			return nil, err
		}
		contents = append(contents, code...)
		for _, several := range l.cards {
			more, err := engine.CardsContents(several.programs, several.ptx)
			if err != nil {
				return nil, err
			}
			contents = append(contents, more...)
		}
	}
	return contents, nil
}

// provenance says what the plan was made from. The checkpoint's files are there by name, without their hashes yet; the directory's own name stays out.
func (b *build) provenance(ctx context.Context) (*engine.Provenance, error) {
	p := &engine.Provenance{Compiler: version.Full(), Model: b.Repo, Revision: b.Commit, Options: []engine.Option{{Name: "quant", Value: b.quant}}}
	if b.KVDType != "" && b.KVDType != Auto {
		p.Options = append(p.Options, engine.Option{Name: "kv-dtype", Value: b.KVDType})
	}
	for _, o := range b.Override {
		p.Options = append(p.Options, engine.Option{Name: "override", Value: o.Pattern + "=" + o.Format})
	}
	if b.Rotation != passes.RotateAuto {
		p.Options = append(p.Options, engine.Option{Name: "rotate", Value: string(b.Rotation)})
	}
	if b.Random != nil {
		p.Options = append(p.Options, engine.Option{Name: "weights", Value: fmt.Sprintf("random:%d", *b.Random)})
	}
	if b.LoraRank > 0 {
		p.Options = append(p.Options, engine.Option{Name: "max-lora-rank", Value: strconv.Itoa(b.LoraRank)})
	}
	for _, n := range b.Cards {
		p.Options = append(p.Options, engine.Option{Name: "tp", Value: strconv.Itoa(n)})
	}
	p.Options = append(p.Options, b.calibrated.options()...)
	if b.Requantize {
		p.Options = append(p.Options, engine.Option{Name: "requantize", Value: "true"})
	}
	p.Options = append(p.Options, b.keptOptions()...)
	p.Options = append(p.Options, b.ignored()...)
	family, err := b.familyOption()
	if err != nil {
		return nil, err
	}
	p.Options = append(p.Options, family...)
	for _, name := range b.Disabled {
		p.Options = append(p.Options, engine.Option{Name: "disabled", Value: name})
	}
	p.Files = b.hashing.files()
	return p, recordAdapters(ctx, p, b.checkpoint, b.Lora)
}

// crashError reports a bug of the compiler in one line; what it was working on is kept for the report of the bug.
func crashError(crash any) error {
	c, ok := crash.(*passes.Crash)
	if !ok {
		return fmt.Errorf("internal error: %v: %s", crash, debug.Stack())
	}
	if f, err := os.CreateTemp("", "llmc-crash-*.ir"); err == nil {
		_, writeErr := f.WriteString(c.IR)
		if errors.Join(writeErr, f.Close()) == nil {
			return fmt.Errorf("%w; the module before the pass is in %s", c, f.Name())
		}
	}
	return c
}
