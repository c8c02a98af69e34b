package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"llmc/runtime/bench/peers/adapt"
	"llmc/runtime/bench/peers/proc"
	"llmc/runtime/bench/peers/sample"
)

// formats are those that peers are compared in.
var formats = []string{"int4", "int8", "bf16", "f32"}

// run is a run of all rounds.
type run struct {
	*options
	bench      adapt.Bench
	out        io.Writer // of samples
	progress   io.Writer
	round      int
	context    int                // of the model, positions
	parameters int64              // of the model
	flops      map[string]float64 // of a prompt of adapt.Predicted tokens, by variant
	peaks      map[string]float64 // operations a second, by the type of the numbers
	gaveUp     map[string]bool    // jobs that failed
	known      map[taken]bool     // of this run and those that it goes on with
	spent      time.Duration      // by programs, without what they waited for a quiet machine
}

// taken says of which round a sample is.
type taken struct {
	sample.Key
	round int
}

// learn notes that a sample has been taken. What failed may do better another time.
func (r *run) learn(s sample.Sample) {
	if s.Failed == "" {
		r.known[taken{s.Key, s.Round}] = true
	}
}

// wants tells whether a job's sample is still to be taken in this round.
func (r *run) wants(j job, k sample.Key) bool {
	if !j.once {
		return !r.known[taken{k, r.round}]
	}
	for round := range r.rounds {
		if r.known[taken{k, round}] {
			return false
		}
	}
	return true
}

func newRun(o *options, known []sample.Sample, out, progress io.Writer) (*run, error) {
	checkpoint, err := o.checkpoint()
	if err != nil {
		return nil, err
	}
	peers, err := filepath.Abs(o.peers)
	if err != nil {
		return nil, err
	}
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp("", "llmc-peers-")
	if err != nil {
		return nil, err
	}
	r := &run{options: o, out: out, progress: progress, flops: map[string]float64{}, peaks: map[string]float64{}, gaveUp: map[string]bool{}, known: map[taken]bool{}}
	r.bench = adapt.Bench{Peers: peers, Bin: bin, Scratch: scratch, Checkpoint: checkpoint, Model: filepath.Base(checkpoint), Threads: o.threads, Windows: o.windows}
	for _, s := range known {
		r.learn(s)
	}
	if r.context, err = modelContext(checkpoint); err != nil {
		return nil, errors.Join(err, os.RemoveAll(scratch))
	}
	return r, nil
}

func modelContext(checkpoint string) (int, error) {
	path := filepath.Join(checkpoint, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var config struct {
		Context int `json:"max_position_embeddings"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return config.Context, nil
}

// due tells whether samples of a job are still to be taken in this round. The machine is measured for others, too.
func (r *run) due(j job) bool {
	if !j.again {
		return !r.gaveUp[j.name] && slices.ContainsFunc(j.keys, func(k sample.Key) bool { return r.wants(j, k) })
	}
	for t := range r.known {
		if t.Peer == sample.Machine && t.round == r.round {
			return false
		}
	}
	return r.has("limits")
}

// all runs all rounds. What fails is said and left out of the rounds behind it.
func (r *run) all(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	jobs := r.jobs()
	for r.round = range r.rounds {
		if !slices.ContainsFunc(jobs, r.due) {
			continue
		}
		for _, j := range jobs {
			if r.round > 0 && j.once || r.gaveUp[j.name] || !j.again && !r.due(j) {
				continue
			}
			before := r.spent
			if err := r.do(ctx, j); err != nil {
				return err
			}
			fmt.Fprintf(r.progress, "%d/%d %s took %.1f s\n", r.round+1, r.rounds, j.name, (r.spent - before).Seconds())
		}
		fmt.Fprintf(r.progress, "%d/%d: %.0f s so far, without waiting\n", r.round+1, r.rounds, r.spent.Seconds())
		jobs = turned(jobs)
	}
	return nil
}

// turned lets another peer begin each format's turn in the next round, so that none is always measured first.
func turned(jobs []job) []job {
	var all []job
	for len(jobs) > 0 {
		n := slices.IndexFunc(jobs, func(j job) bool { return j.format != jobs[0].format })
		if n < 0 {
			n = len(jobs)
		}
		first := slices.IndexFunc(jobs[:n], func(j job) bool { return j.peer != jobs[0].peer })
		all = append(append(all, jobs[max(first, 0):n]...), jobs[:max(first, 0)]...)
		jobs = jobs[n:]
	}
	return all
}

// do runs a job, and again for those of its samples that were noisy.
func (r *run) do(ctx context.Context, j job) error {
	keep := func(k sample.Key) bool { return r.wants(j, k) }
	for attempt := 0; ; attempt++ {
		samples, err := j.run(ctx, keep)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fmt.Fprintf(r.progress, "%s: %v\n", j.name, err)
			r.gaveUp[j.name] = true
			samples = r.failed(j, samples, err)
		}
		noisy, bad := r.write(samples)
		if bad != nil || err != nil {
			return bad
		}
		if len(noisy) == 0 || attempt == r.retries {
			return nil
		}
		keep = func(k sample.Key) bool { return slices.Contains(noisy, k) }
	}
}

// failed adds to the samples of a job that failed those that are missing, with the reason.
func (r *run) failed(j job, samples []sample.Sample, err error) []sample.Sample {
	for _, k := range j.keys {
		has := slices.ContainsFunc(samples, func(s sample.Sample) bool { return s.Key == k })
		if !has && r.wants(j, k) {
			samples = append(samples, sample.Sample{Key: k, Failed: oneLine(err)})
		}
	}
	return samples
}

// write writes samples of this round, and returns those that are noisy.
func (r *run) write(samples []sample.Sample) (noisy []sample.Key, err error) {
	for _, s := range samples {
		s.Round = r.round
		if err := s.Write(r.out); err != nil {
			return nil, err
		}
		r.tell(s)
		r.learn(s)
		if s.Foreign > r.noise {
			noisy = append(noisy, s.Key)
		}
	}
	return noisy, nil
}

func (r *run) tell(s sample.Sample) {
	m, _ := sample.FindMetric(s.Metric)
	what := m.Title
	if m.HasSize() {
		what = fmt.Sprintf(what, s.Size)
	}
	who := strings.TrimSpace(s.Peer + " " + s.Variant)
	if s.Failed != "" {
		fmt.Fprintf(r.progress, "%d/%d %s, %s: %s\n", s.Round+1, r.rounds, who, what, s.Failed)
		return
	}
	fmt.Fprintf(r.progress, "%d/%d %s, %s: %.4g %s (others %.0f %%)\n", s.Round+1, r.rounds, who, what, s.Value, m.Unit, 100*s.Foreign)
}

// start starts a command of a peer behind what waits for a quiet machine.
func (r *run) start(ctx context.Context, c adapt.Command) (*proc.Process, error) {
	return proc.Start(ctx, proc.Spec{Wrap: strings.Fields(r.wrap), Args: c.Args, Env: c.Env, Limit: r.limit})
}

// lines runs a command and hands each of its lines to take, which may refuse one.
func (r *run) lines(ctx context.Context, c adapt.Command, take func(p *proc.Process, line string) error) (*proc.Process, error) {
	p, err := r.start(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { r.spent += p.Took() }()
	for line, ok := p.Next(); ok; line, ok = p.Next() {
		if err := take(p, line); err != nil {
			p.Stop()
			return p, err
		}
	}
	return p, p.Wait()
}

// prepare builds plans, cuts the text into tokens, and measures the machine.
func (r *run) prepare(ctx context.Context) error {
	variants := r.variants(&adapt.Peers[0])
	if len(variants) == 0 {
		return fmt.Errorf("no formats to measure")
	}
	for _, v := range variants {
		if _, err := r.build(ctx, v); err != nil {
			return fmt.Errorf("%s: %w", v.Name, err)
		}
		if !r.has("prefill") {
			continue // operations are told of prompts alone
		}
		var err error
		if r.flops[v.Name], err = r.inspect(ctx, v); err != nil {
			return fmt.Errorf("%s: %w", v.Name, err)
		}
	}
	return r.tokenize(ctx, variants[0])
}

// inspect returns what a prompt computes.
func (r *run) inspect(ctx context.Context, v adapt.Variant) (flops float64, err error) {
	_, err = r.lines(ctx, r.bench.Inspect(v), func(_ *proc.Process, line string) error {
		flops, err = adapt.ParseFlops(line)
		return err
	})
	return flops, err
}

// leastText is how many tokens the text must have: windows of fewer would be much alike.
const leastText = 1024

// tokenize fills in the ids of the text.
func (r *run) tokenize(ctx context.Context, v adapt.Variant) error {
	text, err := os.ReadFile(r.text)
	if err != nil {
		return fmt.Errorf("the text of prompts, --text: %w", err)
	}
	quoted, err := json.Marshal(string(text))
	if err != nil {
		return err
	}
	if r.bench.Text, err = filepath.Abs(r.text); err != nil {
		return err
	}
	file := filepath.Join(r.bench.Scratch, "text.json")
	if err := os.WriteFile(file, append(quoted, '\n'), 0o644); err != nil {
		return err
	}
	c := r.bench.Tokenize(v)
	c.Args = append([]string{"sh", "-c", `exec "$@" <"$0"`, file}, c.Args...)
	if _, err := r.lines(ctx, c, func(_ *proc.Process, line string) error { return json.Unmarshal([]byte(line), &r.bench.IDs) }); err != nil {
		return fmt.Errorf("tokens of %s: %w", r.text, err)
	}
	if len(r.bench.IDs) < leastText {
		return fmt.Errorf("%s has %d tokens, prompts are cut from at least %d: name a longer --text", r.text, len(r.bench.IDs), leastText)
	}
	return nil
}
