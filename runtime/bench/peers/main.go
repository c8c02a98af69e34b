// Command peers measures this project beside other engines on the same machine, model and work, in rounds that take turns, and prints tables with
// ratios. The Makefile's bench-peers runs it; setup.sh installs the others.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"llmc/internal/cli"
	"llmc/runtime/bench/peers/adapt"
	"llmc/runtime/bench/peers/proc"
	"llmc/runtime/bench/peers/report"
	"llmc/runtime/bench/peers/sample"
)

// options are the flags.
type options struct {
	peers, model, bin, samples, report, text, wrap string
	only, formats, own, what                       []string
	batches, clients                               []int
	rounds, threads, retries, windows, streams     int
	noise                                          float64
	limit                                          time.Duration
	every, readme                                  bool
}

func main() { os.Exit(cli.Run(command(), os.Args[1:])) }

func command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:     "peers",
		Short:   "Measure this project beside other engines",
		Example: "  make bench-peers PEERS=.tools/peers ONLY=llama.cpp FORMATS=int4,int8 ROUNDS=5",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.report != "" {
				return o.tables(o.report, cmd.OutOrStdout())
			}
			return o.measure(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.peers, "peers", ".tools/peers", "directory that setup.sh has filled")
	flags.StringVar(&o.model, "model", "smollm2-135m", "checkpoint directory, or the name of one below models/ of the peers' directory")
	flags.StringVar(&o.bin, "bin", "bin", "directory of llmc and llmrun")
	flags.StringVar(&o.samples, "samples", "", "directory of samples: what it has is not measured again, tables are of all in it (default a new one, bin/peers/TIME)")
	flags.StringVar(&o.report, "report", "", "measure nothing, print the tables of this directory, or file, of samples")
	flags.BoolVar(&o.readme, "readme", false, "print the compact tables alone")
	flags.StringVar(&o.text, "text", someText(), "text that prompts are cut from and perplexity is measured on")
	flags.StringVar(&o.wrap, "wrap", "", "command in front of every measured process, such as one that waits for a quiet machine")
	flags.StringSliceVar(&o.only, "only", nil, "peers to measure: "+strings.Join(peerNames(), ", ")+" (default all that are installed)")
	flags.StringSliceVar(&o.formats, "formats", []string{"int4", "int8", "bf16"}, "formats to measure: int4, int8, bf16, f32")
	flags.StringSliceVar(&o.own, "own", nil, "of this project's formats only these, in tables too: "+strings.Join(ownFormats(), ", "))
	flags.StringSliceVar(&o.what, "what", usual(), "what to measure: "+strings.Join(sections, ", "))
	flags.IntSliceVar(&o.batches, "batches", []int{1, 8, 16, 32}, "sequences together")
	flags.IntSliceVar(&o.clients, "clients", []int{1, 4, 16, 32}, "streaming clients")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds, of which the medians are taken")
	flags.IntVar(&o.windows, "windows", mostWindows, "windows of the text that perplexity is measured on at most")
	flags.IntVar(&o.streams, "streams", 512, "streams that each number of clients asks for at least, of host: processors' times are known to 10 ms")
	flags.IntVar(&o.threads, "threads", runtime.NumCPU(), "threads of every engine")
	flags.IntVar(&o.retries, "retries", 2, "times that noisy samples of a round are taken anew")
	flags.Float64Var(&o.noise, "noise", 0.1, "part of the machine above which what other processes take spoils a sample")
	flags.DurationVar(&o.limit, "limit", 10*time.Minute, "time after which a process is ended")
	flags.BoolVar(&o.every, "all", false, "measure all of a peer's own formats, not only the fastest of each number of bits")
	return cmd
}

// usual are the sections that are measured where none are named.
func usual() []string {
	return slices.DeleteFunc(slices.Clone(sections), func(s string) bool { return s == hostSection })
}

// mostWindows is how many the protocol of shared/eval has.
const mostWindows = 64

// someText is the evaluation text where it lies beside the project, else prose of the project.
func someText() string {
	const evaluation = "../shared/eval/eval.txt"
	if _, err := os.Stat(evaluation); err == nil {
		return evaluation
	}
	return "docs/decisions.md"
}

func peerNames() []string {
	var names []string
	for _, p := range adapt.Peers {
		names = append(names, p.Name)
	}
	return names
}

func ownFormats() []string {
	var names []string
	for _, v := range adapt.Peers[0].Variants {
		names = append(names, v.Name)
	}
	return names
}

// check refuses options that nothing can be measured with.
func (o *options) check() error {
	for _, list := range []struct {
		flag          string
		values, known []string
	}{{"only", o.only, peerNames()}, {"formats", o.formats, formats}, {"own", o.own, ownFormats()}, {"what", o.what, sections}} {
		for _, v := range list.values {
			if !slices.ContainsFunc(list.known, func(k string) bool { return strings.EqualFold(k, v) }) {
				return cli.Usagef("--%s: %q is none of %s", list.flag, v, strings.Join(list.known, ", "))
			}
		}
	}
	for _, n := range []struct {
		flag         string
		value, least int
	}{{"rounds", o.rounds, 1}, {"threads", o.threads, 1}, {"retries", o.retries, 0}, {"windows", o.windows, 1}, {"streams", o.streams, 1},
		{"batches", slices.Min(append(o.batches, 1)), 1}, {"clients", slices.Min(append(o.clients, 1)), 1}} {
		if n.value < n.least {
			return cli.Usagef("--%s is %d: must be at least %d", n.flag, n.value, n.least)
		}
	}
	if o.windows > mostWindows {
		return cli.Usagef("--windows is %d: must be at most %d", o.windows, mostWindows)
	}
	if !(o.noise > 0 && o.noise <= 1) {
		return cli.Usagef("--noise is %v: must be above 0 and at most 1", o.noise)
	}
	return nil
}

// checkpoint is the directory of the model.
func (o *options) checkpoint() (string, error) {
	for _, dir := range []string{o.model, filepath.Join(o.peers, "models", o.model)} {
		if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
			return filepath.Abs(dir)
		}
	}
	return "", fmt.Errorf("no checkpoint %s, nor below %s/models: make peers MODEL=DIR prepares one", o.model, o.peers)
}

// measure runs all rounds and prints the tables.
func (o *options) measure(ctx context.Context, w, progress io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	begun := time.Now()
	if o.samples == "" {
		o.samples = filepath.Join("bin", "peers", begun.Format(stamp))
	}
	if err := os.MkdirAll(o.samples, 0o755); err != nil {
		return err
	}
	known, err := sample.ReadAll(o.samples)
	if err != nil {
		return err
	}
	part := filepath.Join(o.samples, begun.Format(stamp))
	out, err := os.OpenFile(part+".jsonl", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	r, err := newRun(o, known.Samples, out, progress)
	if err != nil {
		return err
	}
	defer os.RemoveAll(r.bench.Scratch)
	about := r.about(begun)
	if err := about.Write(part + ".json"); err != nil {
		return err
	}
	if err := r.all(ctx); err != nil {
		return err
	}
	fmt.Fprintf(progress, "samples: %s; --samples %[1]s goes on with them\n", o.samples)
	return o.tables(o.samples, w)
}

// stamp is how parts of a directory of samples are called.
const stamp = "20060102-150405.000"

// tables prints the tables of a directory, or file, of samples.
func (o *options) tables(path string, w io.Writer) error {
	all, err := sample.ReadAll(path)
	if err != nil {
		return err
	}
	return report.Write(w, all, report.Options{Noise: o.noise, Peers: peerNames(), Own: o.own, Compact: o.readme})
}

// about says what is measured, where and of whom.
func (r *run) about(begun time.Time) sample.About {
	a := sample.About{Date: begun.Format(time.DateOnly), Command: os.Args[1:], Machine: proc.Machine(), Threads: r.threads, Versions: map[string]string{}}
	for i := range adapt.Peers {
		if p := &adapt.Peers[i]; p.Version != nil && len(r.variants(p)) > 0 && p.Installed(&r.bench) {
			a.Versions[p.Name] = p.Version(&r.bench)
		}
	}
	return a
}
