package compiler

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"llmc/compiler/buildcache"
	"llmc/compiler/calib"
	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/version"
	"llmc/passes"
)

// buildSource is what a build reads: the program that builds, and all files by their contents.
type buildSource struct {
	Compiler string      // hash of this program: its version alone, which it is without a cache, does not tell two states of a working tree apart
	Files    []hf.Digest // of the checkpoint
	Adapters []adapterSource
	Family   string // hash of the family file
	Random   *uint64
}

type adapterSource struct {
	Repo, Commit string
	Files        []hf.Digest
}

// keyedOptions are the options that a plan's bytes depend on, beside its source. TestKeyHasOptions holds them to Options.
type keyedOptions struct {
	Targets                   []string
	Assemblers                []string // of cubins
	Cubin                     bool
	Quant, Resolved           string
	Rotation                  passes.Rotation
	Override                  []passes.Override
	Budget                    Budget
	KVDType                   string
	Requantize                bool
	IgnoreKeys, IgnoreTensors []string
	Disabled                  []string
	Repo, Commit              string
	LoraRank                  int
	Cards                     []int
	Calibration               *keyedCalibration
}

type keyedCalibration struct {
	Text          string // its hash
	Conversations bool
	Method        string
	Windows       int
}

// openCache makes the cache ready for the build. Without the file of this program, which may have been replaced since it was started, nothing can be named, and there is no cache.
func (b *build) openCache() {
	if b.Cache == nil {
		return
	}
	path, err := os.Executable()
	var sum [sha256.Size]byte
	if err == nil {
		sum, err = b.Cache.SumOf(path)
	}
	if err != nil {
		b.Cache = nil
		b.Progress.Say("built without a cache: %v", err)
		return
	}
	b.program, b.sums = hex.EncodeToString(sum[:]), b.Cache.Sums(b.checkpoint.Dir)
	if !b.Cache.Empty() {
		b.earlier = b.Cache
	}
}

// readSource hashes what the build reads, or remembers. It waits for the checkpoint's hashes.
func (b *build) readSource(ctx context.Context) (*buildSource, error) {
	if b.reads != nil {
		return b.reads, nil
	}
	s := &buildSource{Compiler: cmp.Or(b.program, version.Full()), Random: b.Random}
	var err error
	if s.Files, err = b.hashing.running.Digests(); err != nil {
		return nil, err
	}
	_ = b.hashing.sums.Save() // or they are hashed again
	for i, a := range b.checkpoint.Adapters() {
		files, err := a.Digests(ctx)
		if err != nil {
			return nil, err
		}
		s.Adapters = append(s.Adapters, adapterSource{b.Lora[i].Repo, b.Lora[i].Commit, files})
	}
	family, err := b.script()
	if err != nil {
		return nil, err
	}
	if family != nil {
		s.Family = family.Digest
	}
	b.reads = s
	return s, nil
}

// keyed picks the options that plans depend on.
func (b *build) keyed() keyedOptions {
	k := keyedOptions{
		Cubin: b.Cubin, Quant: b.Quant, Resolved: b.quant, Rotation: b.Rotation, Override: b.askedFor(), Budget: b.Budget, KVDType: b.KVDType, Requantize: b.Requantize,
		IgnoreKeys: b.IgnoreKeys, IgnoreTensors: b.IgnoreTensors, Disabled: b.Disabled, Repo: b.Repo, Commit: b.Commit, LoraRank: b.LoraRank, Cards: b.Cards,
	}
	for _, t := range b.targets {
		k.Targets = append(k.Targets, t.Name)
	}
	for _, a := range b.assemblers {
		k.Assemblers = append(k.Assemblers, a.Build)
	}
	if c := b.Calibration; c != nil {
		method := c.Method
		if m, err := calib.FindMethod(method); err == nil { // the default has a name too
			method = m.Name
		}
		k.Calibration = &keyedCalibration{fmt.Sprintf("%x", sha256.Sum256([]byte(c.Text))), c.Conversations, method, c.Windows}
	}
	return k
}

// sourceName names what the build reads.
func (b *build) sourceName(ctx context.Context) (string, error) {
	source, err := b.readSource(ctx)
	if err != nil {
		return "", err
	}
	return buildcache.Key(source)
}

// planKey names the plan that the build makes.
func (b *build) planKey(ctx context.Context) (string, error) {
	source, err := b.sourceName(ctx)
	if err != nil {
		return "", err
	}
	return buildcache.PlanKey(source, b.keyed())
}

// What the reports of builds say of the cache.
const (
	CachedInPlace = "in place" // the file was there, made from the same
	CachedCopy    = "copied"
)

// fromCache makes the plan's file of one that an earlier build has made from the same; no report: there is none, or it has to be built to see it being built.
func (b *build) fromCache(ctx context.Context) (*Report, error) {
	if b.earlier == nil || b.Check || b.Dump != "" || b.Trace != nil {
		return nil, nil
	}
	key, err := b.planKey(ctx)
	if err != nil {
		return nil, err
	}
	plan := b.earlier.Find(key)
	if plan == nil {
		return nil, nil
	}
	defer plan.Close()
	report, path := &Report{}, plan.Path()
	if json.Unmarshal(plan.Report, report) != nil {
		return nil, nil
	}
	report.Cached, report.SyncSeconds = CachedCopy, 0
	if plan.InPlace(b.Out) {
		report.Cached, path = CachedInPlace, b.Out
	} else if !plan.Intact(ctx, b.Threads) {
		return nil, ctx.Err() // it is built and kept again
	}
	if err := b.checkKept(path); err != nil {
		return nil, err
	}
	if report.Cached == CachedCopy {
		if err := plan.CopyTo(b.Out); err != nil {
			return nil, err
		}
	}
	b.hashing.task.Done()
	report.Plan = b.Out
	return report, nil
}

// checkKept holds the accuracy report of a plan to the gate.
func (b *build) checkKept(path string) error {
	if len(b.Gate) == 0 {
		return nil
	}
	plan, err := engine.Open(path)
	if err != nil {
		return err
	}
	defer plan.Close()
	data, err := plan.Section(engine.KindAccuracy, "")
	if err != nil {
		return err
	}
	var a Accuracy
	if err := json.Unmarshal(data, &a); err != nil {
		return fmt.Errorf("%s: section %s: %w", path, engine.KindAccuracy, err)
	}
	return b.Gate.check(&a)
}

// keep puts the plan that was built, and the codes that were chosen for it, into the cache. It is no failure of the build if they are not kept.
func (b *build) keep(ctx context.Context, report *Report) {
	if b.Cache == nil {
		return
	}
	err := b.keepPlan(ctx, report)
	if err = cmp.Or(b.keepCodes(ctx), err); err != nil && ctx.Err() == nil {
		b.Progress.Say("the plan is built but not kept for the next build: %v", err)
	}
}

func (b *build) keepPlan(ctx context.Context, report *Report) error {
	key, err := b.planKey(ctx)
	if err != nil {
		return err
	}
	record := buildcache.Record{Digest: report.Digest}
	if record.Report, err = json.Marshal(report); err != nil {
		return err
	}
	if record.Weights, err = b.keptWeights(); err != nil {
		return err
	}
	return b.Cache.Keep(ctx, key, b.Out, record)
}
