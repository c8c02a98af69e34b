package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"llmc/compiler"
	"llmc/compiler/buildcache"
	"llmc/compiler/dump"
	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/cachedir"
	"llmc/internal/cli"
	"llmc/internal/quant"
	"llmc/passes"
)

type buildFlags struct {
	options   compiler.Options
	model     modelFlags
	weights   string
	rotation  string
	overrides []string
	gate      string
	budget    string
	calib     calibFlags
	adapter   adapterBuild
	noCache   bool
	split     splitFlags
	json      bool
}

func buildCommand() *cobra.Command {
	var f buildFlags
	cmd := &cobra.Command{
		Use:   "build MODEL -o PLAN",
		Short: "Compile a checkpoint into a plan",
		Long:  "Compile a checkpoint into a plan." + modelHelp + cacheHelp,
		Example: "  llmc build ./SmolLM2-135M-Instruct -o smol.plan --quant int4\n" +
			"  llmc build ./model -o engine.plan --arch x86-64-v3,x86-64-v4-bf16\n" +
			"  llmc build HuggingFaceTB/SmolLM2-135M-Instruct@main -o smol.plan --quant int8\n" +
			"  llmc build ./model -o engine.plan --quant int8 --gate 'weight_error<=0.01'\n" +
			"  llmc build ./model -o engine.plan --quant int4 --calib text.txt --gate 'ppl<=+2.5%'\n" +
			"  llmc build ./model -o engine.plan --budget 5.2 --calib text.txt --gate 'ppl<=+2.5%'\n" +
			"  llmc build ./model --lora ./adapter -o tuned.plan --quant int8\n" +
			"  llmc build --adapter ./adapter --base smol.plan -o adapter.plan\n" +
			"  llmc build ./new-model --family new.star -o new.plan",
		Args: f.adapter.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.adapter.given() {
				return f.adapter.run(cmd, &f)
			}
			f.options.Model = args[0]
			return f.build(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.options.Out, "output", "o", "", "path of the plan")
	flags.StringSliceVar(&f.options.Archs, "arch", []string{"native"}, "targets, a list; 'llmc targets' shows them")
	flags.StringVar(&f.options.Quant, "quant", compiler.Auto, "format of the weights: auto, or one that 'llmc targets' lists")
	flags.BoolVar(&f.options.Requantize, "requantize", false, "let --quant or --override round weights again that the checkpoint has in codes; without it they are kept, or made plain numbers")
	flags.StringSliceVar(&f.overrides, "override", nil, "formats of single weights, PATTERN=FORMAT, by pattern of their names: '*.down_proj.weight=int8'; the first that fits decides")
	flags.StringVar(&f.rotation, "rotate", compiler.Auto, "how much of the model is turned, so that codes lose less of its inputs: auto, for formats with inputs of 8 bits, "+strings.Join(rotations(), ", "))
	flags.StringVar(&f.options.KVDType, "kv-dtype", compiler.Auto, "format of the KV cache: "+strings.Join(compiler.KVDTypes(), ", ")+"; GPUs have all but f32 and int16")
	f.model.add(cmd)
	f.model.addLora(cmd)
	f.adapter.add(cmd, &f.options)
	flags.StringVar(&f.weights, "weights", "", "random:SEED makes up weights; config.json and the tokenizer are enough then")
	flags.StringSliceVar(&f.options.IgnoreKeys, "ignore-key", nil, "keys of config.json that do not matter although the model's family does not know them")
	flags.StringSliceVar(&f.options.IgnoreTensors, "ignore-tensor", nil, "patterns of tensors, such as model.layers.40.*, that do not matter")
	flags.BoolVar(&f.options.Check, "check", false, "verify the IR and its properties after every pass")
	flags.StringVar(&f.options.Dump, "dump", "", "print the IR after the named pass, or after all; html writes a page of all passes to OUT.html")
	flags.StringSliceVar(&f.options.Disabled, "disable", nil, "passes and rewrites not to run")
	flags.IntVar(&f.options.Threads, "threads", 0, "threads (default: all processors)")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.StringVar(&f.gate, "gate", "", "fail, and leave no plan, when the accuracy report breaks this rule: FIGURE<=BOUND, several separated by commas; with --calib also of what is measured on the text: 'ppl<=+2.5%'")
	flags.StringVar(&f.budget, "budget", "", "with --calib: let each matrix have a format of its own, so that all together take at most so many bits a weight (5.2) or bytes (100M), and lose least on the text")
	f.calib.add(cmd)
	flags.BoolVar(&f.noCache, "no-cache", false, "build all of it again, and keep nothing for the next build")
	f.split.add(flags)
	flags.BoolVar(&f.options.NoFallback, "no-fallback", false, "for sm90, whose code runs on that GPU alone, no program of sm80 beside it for newer ones")
	flags.BoolVar(&f.options.Cubin, "cubin", false, "keep code that NVIDIA's ptxas assembles beside the PTX of GPU targets, so that drivers need not")
	flags.StringVar(&f.options.PTXAS, "ptxas", "", "path of ptxas for --cubin (default: LLMC_PTXAS, CUDA_HOME, or the search path)")
	_ = cmd.MarkFlagRequired("output")
	cli.CompleteArgs(cmd, cli.ModelArg)
	cli.CompleteFlag(cmd, "arch", targetNames()...)
	cli.CompleteFlag(cmd, "quant", append([]string{compiler.Auto}, quant.Names()...)...)
	cli.CompleteFlag(cmd, "rotate", append([]string{compiler.Auto}, rotations()...)...)
	cli.CompleteFlag(cmd, "kv-dtype", compiler.KVDTypes()...)
	cli.CompleteFlag(cmd, "dump", append([]string{"all", "html"}, passes.Names()...)...)
	return cmd
}

// build builds the plan of a model and prints what became of it.
func (f *buildFlags) build(cmd *cobra.Command) error {
	var err error
	if f.options.Cards, err = f.split.cards(); err != nil {
		return err
	}
	report, err := f.run(cmd)
	if err != nil {
		return err
	}
	shares, err := f.split.shares(f.options.Out)
	if err != nil { // as a gate, it leaves no plan
		return errors.Join(err, os.Remove(f.options.Out))
	}
	if f.json {
		return cli.PrintJSON(cmd.OutOrStdout(), struct {
			*compiler.Report
			Ranks []rankShare `json:"ranks,omitempty"`
		}{report, shares})
	}
	if err := printBuild(cmd.OutOrStdout(), report); err != nil || shares == nil {
		return err
	}
	return printShares(cmd.OutOrStdout(), shares)
}

// targetNames are the values of --arch.
func targetNames() []string {
	names := []string{"native"}
	for _, t := range engine.Targets {
		names = append(names, t.Name)
	}
	return names
}

// parseOverride reads PATTERN=FORMAT.
func parseOverride(text string) (passes.Override, error) {
	pattern, format, ok := strings.Cut(text, "=")
	if _, err := path.Match(pattern, ""); !ok || pattern == "" || err != nil {
		return passes.Override{}, cli.Usagef("--override %q: expected PATTERN=FORMAT, such as *.down_proj.weight=int8", text)
	}
	if _, err := quant.Find(format); err != nil {
		return passes.Override{}, cli.Usagef("--override %q: %w", text, err)
	}
	return passes.Override{Pattern: pattern, Format: format}, nil
}

// rotations are the values of --rotate, but for auto.
func rotations() []string {
	var names []string
	for _, r := range passes.Rotations {
		names = append(names, string(r))
	}
	return names
}

func (f *buildFlags) run(cmd *cobra.Command) (*compiler.Report, error) {
	if f.weights != "" {
		text, ok := strings.CutPrefix(f.weights, "random:")
		seed, err := strconv.ParseUint(text, 10, 64)
		if !ok || err != nil {
			return nil, cli.Usagef("--weights %q: expected random:SEED", f.weights)
		}
		f.options.Random = &seed
	}
	if f.options.Random != nil && len(f.model.lora) > 0 {
		return nil, cli.Usagef("--lora is merged into weights, and --weights makes them up")
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	if err := f.setDump(cmd.ErrOrStderr()); err != nil {
		return nil, err
	}
	f.options.Progress, f.options.Family = cli.NewProgress(), f.model.family
	if err := f.find(cmd.Context()); err != nil {
		return nil, err
	}
	if err := f.openCache(); err != nil {
		return nil, err
	}
	report, err := compiler.Build(cmd.Context(), f.options)
	if err == nil {
		f.options.Progress.Wait()
	}
	if traceErr := f.writeTrace(cmd.ErrOrStderr()); err == nil {
		err = traceErr
	}
	return report, err
}

// cacheHelp tells of plans that were built before.
const cacheHelp = "\n\nWhat was built is kept in LLMC_CACHE (default: ~/.cache/llmc), of at most LLMC_CACHE_SIZE (64G), by the contents of the checkpoint, the options and this program: the same again is copied, or left " +
	"where it is, and codes that --calib has chosen serve other targets. --no-cache, or LLMC_CACHE=off, builds anew."

// openCache finds what earlier builds have left; without a home there is nothing, and that is no error.
func (f *buildFlags) openCache() error {
	if f.noCache {
		return nil
	}
	cache, err := buildcache.Open()
	if errors.Is(err, cachedir.ErrOff) || errors.Is(err, cachedir.ErrHome) {
		return nil
	}
	f.options.Cache = cache
	return err
}

// find puts the directory of the checkpoint in the place of its name.
func (f *buildFlags) find(ctx context.Context) error {
	need := hf.NeedModel
	if f.options.Random != nil {
		need = hf.NeedConfig
	}
	from, err := f.model.find(ctx, f.options.Model, need, f.options.Progress)
	if err != nil {
		return err
	}
	f.options.Model, f.options.Repo, f.options.Commit = from.Dir, from.Repo, from.Commit
	f.options.Lora, err = f.model.adapters(ctx, f.options.Progress)
	return err
}

// setDump says where the passes' dumps go: text to w, or everything to a page.
func (f *buildFlags) setDump(w io.Writer) error {
	name := f.options.Dump
	switch {
	case name == "":
	case name == "html":
		f.options.Dump, f.options.Trace = "", &dump.Trace{Model: f.options.Model}
	case name == "all" || passes.Find(name) != nil:
		f.options.DumpTo = w
	default:
		return cli.Usagef("--dump %q: there is no such pass; give all, html or one of %s", name, strings.Join(passes.Names(), ", "))
	}
	return nil
}

// writeTrace writes the page next to the plan. After a build that failed it shows how far the passes came.
func (f *buildFlags) writeTrace(w io.Writer) error {
	if f.options.Trace == nil || len(f.options.Trace.Runs) == 0 {
		return nil
	}
	path := f.options.Out + ".html"
	if err := cli.WriteFile(path, f.options.Trace.WriteHTML); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "passes written to %s\n", path)
	return err
}

// check refuses names that no table knows before anything is read.
func (f *buildFlags) check() error {
	for _, arch := range f.options.Archs {
		if _, err := engine.FindTarget(arch); err != nil {
			return cli.Usagef("--arch: %w", err)
		}
	}
	if err := compiler.CheckKVDType(f.options.KVDType); err != nil {
		return cli.Usagef("--kv-dtype: %w", err)
	}
	for _, text := range f.overrides {
		o, err := parseOverride(text)
		if err != nil {
			return err
		}
		f.options.Override = append(f.options.Override, o)
	}
	if f.rotation != compiler.Auto {
		if !slices.Contains(rotations(), f.rotation) {
			return cli.Usagef("--rotate %q: expected auto, %s", f.rotation, strings.Join(rotations(), ", "))
		}
		f.options.Rotation = passes.Rotation(f.rotation)
	}
	if f.options.LoraRank < 0 || f.options.LoraRank > engine.MaxAdapterRank {
		return cli.Usagef("--max-lora-rank is %d: must be within 1..%d, or 0 for none", f.options.LoraRank, engine.MaxAdapterRank)
	}
	if f.options.Threads < 0 {
		return cli.Usagef("--threads is %d: must be at least 1, or 0 for all processors", f.options.Threads)
	}
	if f.options.Out == "" {
		return cli.Usagef("--output: the path of the plan is empty")
	}
	if err := f.calib.set(&f.options); err != nil {
		return err
	}
	if err := f.setBudget(); err != nil {
		return err
	}
	if f.options.PTXAS != "" && !f.options.Cubin {
		return cli.Usagef("--ptxas is for --cubin, which is not given")
	}
	var err error
	if f.options.Gate, err = compiler.ParseGate(f.gate); err != nil {
		return cli.Usagef("--gate: %w", err)
	}
	if _, err := quant.Find(f.options.Quant); err != nil && f.options.Quant != compiler.Auto {
		return cli.Usagef("--quant: %w", err)
	}
	return nil
}

// setBudget reads --budget.
func (f *buildFlags) setBudget() (err error) {
	if f.budget == "" {
		return nil
	}
	if f.options.Calibration == nil {
		return cli.Usagef("--budget: formats are chosen by what they lose on a text: give one with --calib")
	}
	if f.options.Quant != compiler.Auto {
		return cli.Usagef("--budget chooses formats, and --quant %s is given; leave one of them out", f.options.Quant)
	}
	if f.options.Budget, err = compiler.ParseBudget(f.budget); err != nil {
		return cli.Usagef("--budget: %w", err)
	}
	return nil
}

func printBuild(w io.Writer, r *compiler.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "plan\t%s\n", r.Plan)
	fmt.Fprintf(t, "size\t%s, %.1f M parameters, %s, %.2f bits a weight\n", cli.FormatBytes(r.PlanBytes), float64(r.Parameters)/1e6, r.Quant, r.BitsPerWeight)
	if r.Stored != "" {
		fmt.Fprintf(t, "checkpoint\t%s\n", r.Stored)
	}
	fmt.Fprintf(t, "targets\t%s\n", strings.Join(r.Targets, ", "))
	switch r.Cached {
	case "":
		fmt.Fprintf(t, "time\t%.2f s, %.2f s of it waiting for the disk\n", r.Seconds, r.SyncSeconds)
	case compiler.CachedInPlace:
		fmt.Fprintf(t, "time\t%.2f s: it was there, built from the same\n", r.Seconds)
	default:
		fmt.Fprintf(t, "time\t%.2f s: an earlier build of the same was copied\n", r.Seconds)
	}
	fmt.Fprintf(t, "memory\t%s anonymous at most\n", cli.FormatBytes(r.PeakAnonBytes))
	if r.Accuracy.Worst == nil {
		fmt.Fprintf(t, "accuracy\tno weight was quantized\n")
	} else {
		fmt.Fprintf(t, "accuracy\tweights differ by %.3f %% (root mean square), most %q by %.3f %%\n",
			100*r.Accuracy.WeightError, r.Accuracy.Worst.Name, 100*r.Accuracy.Worst.Error)
	}
	printCalibration(t, &r.Accuracy)
	fmt.Fprintf(t, "digest\t%s\n", r.Digest)
	return t.Flush()
}
