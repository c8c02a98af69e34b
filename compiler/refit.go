package compiler

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/internal/cli"
	"llmc/ir"
)

// RefitOptions say which plan gets whose weights.
type RefitOptions struct {
	Plan     string // whose programs, tokenizer and templates are kept
	Model    string // directory whose weights replace the plan's
	Out      string
	Threads  int // as of Options
	Progress *cli.Progress

	// As of Options.
	Repo, Commit string

	Lora   []Adapter // merged into the weights, in order
	Family string    // as of Options
}

// Refit writes a plan with the programs, the tokenizer and the formats of one plan and the weights of a checkpoint that asks for the
// same computation: another training state of the same model. No pass runs and no code is made. Where everything but the weights is equal, the
// bytes are those that a build of the checkpoint gives.
func Refit(ctx context.Context, o RefitOptions) (report *Report, err error) {
	start, watch := time.Now(), watchAnon()
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryTarget))
	defer func() {
		if peak := watch.end(); report != nil {
			report.PeakAnonBytes, report.Seconds = peak, time.Since(start).Seconds()
		}
	}()
	plan, err := engine.Open(o.Plan)
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	if isCalibrated(plan) {
		return nil, fmt.Errorf("%s: its codes were chosen by a calibration of its own weights, which others need anew; build it with --calib instead", o.Plan)
	}
	checkpoint, err := openMerged(o.Model, o.Lora)
	if err != nil {
		return nil, err
	}
	defer checkpoint.Close()
	r := &refit{RefitOptions: o, plan: plan, checkpoint: checkpoint}
	r.hashing = startHashing(ctx, checkpoint, workers(o.Threads), o.Progress, nil)
	defer r.hashing.stop()
	if err := r.sameModel(); err != nil {
		return nil, err
	}
	if err := r.plannedWeights(); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Plan, err)
	}
	return r.write(ctx)
}

// refit is the state of one Refit.
type refit struct {
	RefitOptions
	plan       *engine.Plan
	checkpoint *hf.Checkpoint
	hashing    *hashing
	origin     *engine.Provenance
	model      *models.Model // that the checkpoint is
	jobs       []*packJob
}

// sameModel compares what the checkpoint asks to be computed with what the plan was made from.
func (r *refit) sameModel() error {
	text, err := r.plan.Section(engine.KindIR, "import")
	if err != nil {
		return err
	}
	was, err := ir.Parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: section ir import: %w", r.Plan, err)
	}
	if len(was.Caches) == 0 {
		return fmt.Errorf("%s: section ir import: no cache", r.Plan)
	}
	options := Options{Family: r.Family}
	if err := options.SetIgnored(r.plan); err != nil {
		return err
	}
	importing, err := options.importing(was.Caches[0].DType, r.plan.Targets(r.plan.Main()))
	if err != nil {
		return err
	}
	importing.Dequantize = !keepsCodes(was)
	model, err := models.Import(r.checkpoint, importing)
	if err != nil {
		return err
	}
	r.model = model
	have, want := strings.Split(ir.Print(model.Module), "\n"), strings.Split(string(text), "\n")
	for i, line := range want {
		if i >= len(have) || have[i] != line {
			other := "nothing"
			if i < len(have) {
				other = fmt.Sprintf("%.120q", have[i])
			}
			return fmt.Errorf("%s asks for another computation than %s was built for: line %d of the imported IR is %.120q in the plan and %s here; build it instead",
				r.Model, r.Plan, i+1, line, other)
		}
	}
	if len(have) != len(want) {
		return fmt.Errorf("%s asks for more than %s computes; build it instead", r.Model, r.Plan)
	}
	return nil
}

// plannedWeights makes the jobs from the plan's compiled IR, which has the recipe and the packed form of every weight, and holds them
// to the plan's own table: the programs were checked against that.
func (r *refit) plannedWeights() error {
	weights := newWeightTable()
	for _, name := range r.plan.Names(engine.KindIR) {
		if name != finalIR && !strings.HasPrefix(name, finalIR+"/") {
			continue
		}
		if err := r.addWeights(weights, name); err != nil {
			return fmt.Errorf("section ir %s: %w", name, err)
		}
	}
	table := r.plan.Weights()
	if len(table) != len(weights.jobs) {
		return fmt.Errorf("section ir %s has %d weights, the plan's table %d", finalIR, len(weights.jobs), len(table))
	}
	for i, j := range weights.jobs {
		if have := j.entry(); !samePlace(&have, &table[i]) {
			return fmt.Errorf("weight %q is not as section ir %s describes it", table[i].Name, finalIR)
		}
	}
	r.jobs = weights.jobs
	return nil
}

func (r *refit) addWeights(weights *weightTable, section string) error {
	text, err := r.plan.Section(engine.KindIR, section)
	if err != nil {
		return err
	}
	m, err := ir.Parse(string(text))
	if err != nil {
		return err
	}
	if err := ir.Verify(m); err != nil {
		return err
	}
	return weights.add(m)
}

// samePlace compares what programs rely on.
func samePlace(a, b *engine.WeightEntry) bool {
	return a.Name == b.Name && slices.Equal(a.Shape, b.Shape) && a.DType == b.DType && a.Format == b.Format && a.Layout == b.Layout &&
		a.Segment == b.Segment && a.Bytes == b.Bytes
}

func (r *refit) write(ctx context.Context) (*Report, error) {
	sections, err := r.sections(ctx)
	if err != nil {
		return nil, err
	}
	out := output{checkpoint: r.checkpoint, hashing: r.hashing, origin: r.origin, jobs: r.jobs, path: r.Out, threads: workers(r.Threads), progress: r.Progress}
	report, err := out.write(ctx, sections)
	if err != nil {
		return nil, err
	}
	info := r.plan.Info()
	report.Quant, report.Targets = info.Quant, r.plan.Targets(r.plan.Main())
	report.BitsPerWeight, report.Parameters = info.BitsPerW, info.Parameters
	return report, nil
}

// sections are the plan's own, but for what tells of the weights.
func (r *refit) sections(ctx context.Context) ([]engine.Content, error) {
	var contents []engine.Content
	for _, s := range r.plan.Header().Sections {
		switch s.Kind {
		case engine.KindWeights, engine.KindAccuracy:
			continue
		case engine.KindProvenance, engine.KindInfo:
			c, err := r.told(ctx, s.Kind)
			if err != nil {
				return nil, err
			}
			contents = append(contents, c)
			continue
		}
		data, err := r.plan.Section(s.Kind, s.Name)
		if err != nil {
			return nil, err
		}
		contents = append(contents, engine.Content{Kind: s.Kind, Name: s.Name, Data: data})
	}
	return contents, nil
}

// told is a section that tells of the weights.
func (r *refit) told(ctx context.Context, kind string) (engine.Content, error) {
	if kind == engine.KindProvenance {
		return r.provenance(ctx)
	}
	info := r.plan.Info()
	if e := info.Encoder; e != nil {
		compared := *e
		setCompared(&compared, &r.model.Info)
		info.Encoder = &compared
	}
	return engine.InfoContent(&info)
}

// provenance keeps the compiler and the options of the plan and names the files that the weights come from.
func (r *refit) provenance(ctx context.Context) (engine.Content, error) {
	p, err := r.plan.Provenance()
	if err != nil {
		return engine.Content{}, err
	}
	p.Options = slices.DeleteFunc(p.Options, func(o engine.Option) bool { return o.Name == "weights" || o.Name == loraOption })
	p.Model, p.Revision = r.Repo, r.Commit
	p.Files = r.hashing.files()
	if err := recordAdapters(ctx, p, r.checkpoint, r.Lora); err != nil {
		return engine.Content{}, err
	}
	r.origin = p
	return engine.ProvenanceContent(p)
}
