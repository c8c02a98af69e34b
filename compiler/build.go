package compiler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
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
	b := &build{Options: &o, weights: newWeightTable()}
	if b.targets, err = o.resolve(); err != nil {
		return nil, err
	}
	if err := b.open(); err != nil {
		return nil, err
	}
	defer b.checkpoint.Close()
	if err := b.compile(); err != nil {
		return nil, err
	}
	return b.write(ctx)
}

// build is the state of one Build.
type build struct {
	*Options
	targets    []engine.Target
	checkpoint *hf.Checkpoint
	policy     passes.Policy
	format     *quant.Format
	model      *models.Model
	lowered    []*lowered
	weights    *weightTable
}

func (b *build) open() error {
	var err error
	if b.policy, b.format, err = policy(b.Quant); err != nil {
		return err
	}
	b.policy.Overrides = b.Override
	if b.Random != nil {
		b.checkpoint, err = hf.OpenRandom(b.Model, *b.Random)
	} else {
		b.checkpoint, err = hf.Open(b.Model)
	}
	return err
}

// compile imports the model and lowers it for every target.
func (b *build) compile() error {
	kv, err := kvDType(b.KVDType, b.format)
	if err != nil {
		return err
	}
	if b.model, err = models.Import(b.checkpoint, models.Options{KV: kv}); err != nil {
		return err
	}
	for _, t := range b.targets {
		l, err := b.lower(b.model.Module, t, b.policy, b.weights)
		if err != nil {
			return fmt.Errorf("target %s: %w", t.Name, err)
		}
		b.lowered = append(b.lowered, l)
	}
	return nil
}

// write lays out the plan, streams the weights and finishes the file.
func (b *build) write(ctx context.Context) (*Report, error) {
	bits, parameters := storedBits(b.weights.of(b.lowered[0].module))
	info := b.info(bits, parameters)
	spec := engine.Spec{Late: []string{engine.KindAccuracy}}
	var err error
	if spec.Sections, err = b.sections(ctx, &info); err != nil {
		return nil, err
	}
	total := int64(0)
	for _, j := range b.weights.jobs {
		e := j.entry()
		spec.Weights = append(spec.Weights, e)
		total += e.Bytes
	}
	w, err := engine.NewWriter(b.Out, spec)
	if err != nil {
		return nil, err
	}
	report, err := b.fill(ctx, w, total)
	if err != nil {
		w.Abort()
		return nil, err
	}
	report.Plan, report.Quant, report.BitsPerWeight, report.Parameters = b.Out, b.format.Name, bits, parameters
	for _, t := range b.targets {
		report.Targets = append(report.Targets, t.Name)
	}
	return report, nil
}

func (b *build) fill(ctx context.Context, w *engine.Writer, total int64) (*Report, error) {
	p := packer{checkpoint: b.checkpoint, writer: w, jobs: b.weights.jobs, task: b.Progress.Start("weights", total)}
	if err := p.run(ctx, b.Threads); err != nil {
		return nil, err
	}
	p.task.Done()
	report := &Report{Accuracy: accuracy(b.weights.jobs)}
	data, err := json.Marshal(report.Accuracy)
	if err != nil {
		return nil, err
	}
	if err := w.WriteLate(engine.KindAccuracy, data); err != nil {
		return nil, err
	}
	report.Accuracy.Weights = nil // the plan has them; the summary names the worst
	if report.Digest, err = w.Finish(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(b.Out); err == nil {
		report.PlanBytes = info.Size()
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
	templates, err := docs.templateContents()
	if err != nil {
		return nil, err
	}
	contents = append(contents, templates...)
	provenance, err := b.provenance(ctx)
	if err != nil {
		return nil, err
	}
	for _, make := range []func() (engine.Content, error){
		func() (engine.Content, error) { return engine.InfoContent(info) },
		func() (engine.Content, error) { return engine.ProvenanceContent(provenance) },
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
		final := "final"
		if i > 0 {
			final += "/" + l.program.Target
		}
		contents = append(contents, engine.Content{Kind: engine.KindIR, Name: final, Data: []byte(ir.Print(l.module))})
		c, err := engine.ProgramContent(l.program)
		if err != nil {
			return nil, err
		}
		contents = append(contents, c)
		if l.ptx != "" {
			contents = append(contents, engine.Content{Kind: engine.KindPTX, Name: l.program.Target, Data: []byte(l.ptx)})
		}
	}
	return contents, nil
}

// provenance says what the plan was made from. The checkpoint's files are hashed, by name; the directory's own name stays out.
func (b *build) provenance(ctx context.Context) (*engine.Provenance, error) {
	p := &engine.Provenance{Compiler: version.Full(), Options: []engine.Option{{Name: "quant", Value: b.format.Name}}}
	if b.KVDType != "" && b.KVDType != Auto {
		p.Options = append(p.Options, engine.Option{Name: "kv-dtype", Value: b.KVDType})
	}
	if b.Random != nil {
		p.Options = append(p.Options, engine.Option{Name: "weights", Value: fmt.Sprintf("random:%d", *b.Random)})
	}
	for _, name := range b.Disabled {
		p.Options = append(p.Options, engine.Option{Name: "disabled", Value: name})
	}
	task := b.Progress.Start("hashing the checkpoint", b.sourceBytes())
	digests, err := b.checkpoint.Digests(ctx, b.Threads, task.Add)
	if err != nil {
		return nil, err
	}
	task.Done()
	for _, d := range digests {
		p.Files = append(p.Files, engine.SourceFile{Name: d.Name, Bytes: d.Bytes, SHA256: d.SHA256[:]})
	}
	return p, nil
}

func (b *build) sourceBytes() int64 {
	total := int64(0)
	for _, name := range b.checkpoint.SourceFiles() {
		if info, err := os.Stat(filepath.Join(b.Model, name)); err == nil {
			total += info.Size()
		}
	}
	return total
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
