package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime"
	"llmc/runtime/replay"
)

// simulateFlags say what is served, to whom.
type simulateFlags struct {
	card                   string
	threads, servers, most int
	settings               dump.MemorySettings
	kvMemory, deviceMemory cli.Bytes
	queueLimit             int
	host                   time.Duration

	trace                    string
	speed, rate              float64
	requests, prompt, output int
	exact                    bool
	seed                     uint64
	goals                    []string
	asJSON                   bool
}

func simulateCommand() *cobra.Command {
	var f simulateFlags
	cmd := &cobra.Command{
		Use:   "simulate PLAN",
		Short: "Foretell what servers of a plan do for a trace of requests, and how many are needed",
		Long: "Replay requests through the scheduler that servers have, with steps that take what they are predicted to take on a GPU (--card), or on cores at nominal figures, and a clock of its own. " +
			"Each request goes to the server that has the fewest; prompts share nothing. Nothing is computed, and no GPU is needed. docs/scale.md says what the figures are worth.\n\n" +
			"A trace is JSON lines as 'llmrun serve --request-log' writes them, or a CSV file with columns TIMESTAMP, ContextTokens, GeneratedTokens (Azure), Timestamp, Request tokens, Response tokens (BurstGPT), or JSON lines with timestamp, input_length, output_length (Mooncake).",
		Example: "  llmc simulate engine.plan --card h200 --rate 20 --prompt 1000 --output 200\n  llmc simulate engine.plan --card h200 --trace requests.jsonl --speed 4 --goal 'ttft_p99<=500ms' --goal 'itl_p99<=50ms'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			goals, err := f.check()
			if err != nil {
				return err
			}
			plan, err := engine.Open(args[0])
			if err != nil {
				return err
			}
			defer plan.Close()
			return f.run(cmd.Context(), cmd.OutOrStdout(), plan, goals)
		},
	}
	cli.CompleteArgs(cmd, cli.PlanArg)
	flags := cmd.Flags()
	flags.StringVar(&f.card, "card", "", "GPU of each server: "+strings.Join(engine.CardNames(), ", ")+" (default: none, but --threads cores)")
	flags.IntVar(&f.threads, "threads", 2, "cores of each server without a GPU, at nominal figures")
	flags.IntVar(&f.servers, "servers", 1, "servers; with --goal those to begin with")
	flags.IntVar(&f.most, "max-servers", 4096, "servers at most that --goal looks for")
	flags.StringVar(&f.trace, "trace", "", "file with requests")
	flags.Float64Var(&f.speed, "speed", 1, "let the trace come so many times as fast")
	flags.Float64Var(&f.rate, "rate", 0, "in place of a trace: requests a second, independent of each other")
	flags.IntVar(&f.requests, "requests", 2000, "how many of these")
	flags.IntVar(&f.prompt, "prompt", 512, "their prompt tokens, on average")
	flags.IntVar(&f.output, "output", 128, "their output tokens, on average")
	flags.BoolVar(&f.exact, "exact", false, "all have so many tokens, not on average")
	flags.Uint64Var(&f.seed, "seed", 1, "of the times and lengths")
	flags.StringArrayVar(&f.goals, "goal", nil, "bound such as ttft_p99<=500ms (ttft, itl, e2e; p50, p90, p99): the fewest servers that keep to all are looked for; may be given several times")
	flags.IntVar(&f.settings.MaxBatch, "max-batch", 0, "sequences that run together (default 64, with --card 256)")
	flags.IntVar(&f.settings.MaxContext, "max-context", 0, "positions of one sequence (default: the model's)")
	flags.IntVar(&f.settings.StepTokens, "max-step-tokens", 0, "tokens of one step (default 512)")
	flags.IntVar(&f.queueLimit, "queue-limit", 1024, "requests that may wait at a server; 0: any number")
	flags.Var(&f.kvMemory, "kv-memory", "memory for the KV cache of a server (default: what a GPU has room for, of CPUs all sequences at full context)")
	flags.Var(&f.deviceMemory, "device-memory", "free memory of the GPU (default: all that the card has)")
	flags.DurationVar(&f.host, "host", 0, "what the host takes between two steps (default: nothing on GPUs, where it works ahead, 50us on CPUs)")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	cli.CompleteFlag(cmd, "card", engine.CardNames()...)
	return cmd
}

// check refuses what can not be meant.
func (f *simulateFlags) check() ([]replay.Goal, error) {
	goals, err := replay.ParseGoals(f.goals)
	if err != nil {
		return nil, cli.Usagef("--goal %w", err)
	}
	if _, err := engine.FindCard(f.card); err != nil && f.card != "" {
		return nil, cli.Usagef("--card: %v", err)
	}
	for _, n := range []struct {
		name        string
		is, lo, top int
	}{
		{"threads", f.threads, 1, 1 << 12}, {"servers", f.servers, 1, 1 << 14}, {"max-servers", f.most, 1, 1 << 14}, {"requests", f.requests, 1, 4 << 20},
		{"prompt", f.prompt, 1, 1 << 22}, {"output", f.output, 1, 1 << 20}, {"queue-limit", f.queueLimit, 0, 1 << 30},
		{"max-batch", f.settings.MaxBatch, 0, 1 << 14}, {"max-context", f.settings.MaxContext, 0, 1 << 22}, {"max-step-tokens", f.settings.StepTokens, 0, 1 << 16},
	} {
		if n.is < n.lo || n.is > n.top {
			return nil, cli.Usagef("--%s is %d: must be within %d..%d", n.name, n.is, n.lo, n.top)
		}
	}
	switch {
	case (f.trace == "") == (f.rate == 0):
		return nil, cli.Usagef("give --trace FILE, or --rate for requests that are made up")
	case !(f.rate >= 0 && f.rate <= 1e6):
		return nil, cli.Usagef("--rate is %v: must be above 0 and at most 1e6", f.rate)
	case !(f.speed > 0 && f.speed <= 1e6):
		return nil, cli.Usagef("--speed is %v: must be above 0 and at most 1e6", f.speed)
	case f.host < 0:
		return nil, cli.Usagef("--host is %v: must not be below 0", f.host)
	}
	return goals, nil
}

// simulated is the report.
type simulated struct {
	Target  string          `json:"target"`
	On      string          `json:"on"`
	Pages   int64           `json:"kv_tokens"` // of a server
	Batch   int             `json:"max_batch"`
	Figures *replay.Figures `json:"figures"`
	Missed  []string        `json:"missed,omitempty"`
	Tried   []int           `json:"tried_servers,omitempty"`
}

func (f *simulateFlags) run(ctx context.Context, w io.Writer, plan *engine.Plan, goals []replay.Goal) error {
	arrivals, err := f.arrivals()
	if err != nil {
		return err
	}
	sim, out, err := f.servings(ctx, plan)
	if err != nil {
		return err
	}
	try := func(servers int) error {
		sim.Servers = servers
		done, err := sim.Run(ctx, arrivals)
		if err != nil {
			return err
		}
		out.Figures = replay.Sum(servers, done)
		out.Missed = out.Figures.Missed(goals)
		return nil
	}
	if len(goals) == 0 {
		err = try(f.servers)
	} else {
		err = f.fewest(try, out)
	}
	if err != nil {
		return err
	}
	if f.asJSON {
		err = cli.PrintJSON(w, out)
	} else {
		err = out.write(w)
	}
	if err == nil && len(out.Missed) > 0 {
		err = fmt.Errorf("%d servers, and still %s", out.Figures.Servers, strings.Join(out.Missed, ", "))
	}
	return err
}

// fewest looks for the fewest servers that keep to the goals: twice as many until they do, then between the last two. Its last try is of these.
func (f *simulateFlags) fewest(try func(int) error, out *simulated) error {
	attempt := func(n int) (bool, error) {
		out.Tried = append(out.Tried, n)
		err := try(n)
		return len(out.Missed) == 0, err
	}
	low, high := 0, f.servers // low is too few
	for {
		ok, err := attempt(high)
		if err != nil || !ok && high >= f.most {
			return err
		}
		if ok {
			break
		}
		low, high = high, min(2*high, f.most)
	}
	last := high
	for high-low > 1 {
		last = (low + high) / 2
		ok, err := attempt(last)
		if err != nil {
			return err
		}
		if ok {
			high = last
		} else {
			low = last
		}
	}
	if last == high {
		return nil
	}
	return try(high)
}

func (f *simulateFlags) arrivals() ([]runtime.Arrival, error) {
	if f.trace == "" {
		return replay.Poisson(f.requests, f.rate, f.prompt, f.output, !f.exact, f.seed), nil
	}
	file, err := os.Open(f.trace)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	list, err := replay.Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.trace, err)
	}
	return replay.Faster(list, f.speed), nil
}

// servings makes the simulation of one server, and what the report says of it.
func (f *simulateFlags) servings(ctx context.Context, plan *engine.Plan) (*runtime.Simulation, *simulated, error) {
	var card *engine.Card
	on := fmt.Sprintf("%d cores", f.threads)
	if f.card != "" {
		card, _ = engine.FindCard(f.card)
		on = card.Name
		if f.settings.MaxBatch == 0 {
			f.settings.MaxBatch = 256
		}
	}
	f.settings.KVMemory, f.settings.DeviceMemory = int64(f.kvMemory), int64(f.deviceMemory)
	if card != nil && f.settings.DeviceMemory == 0 {
		f.settings.DeviceMemory = card.Memory
	}
	target, err := dump.TargetOn(plan, card)
	if err != nil {
		return nil, nil, err
	}
	program, err := plan.Program(plan.Main(), target)
	if err != nil {
		return nil, nil, err
	}
	memory, err := newMemory(plan, program, f.settings)
	if err != nil {
		return nil, nil, err
	}
	times, err := dump.NewStepTimes(ctx, plan, program, card, f.threads, int64(memory.StepTokens))
	if err != nil {
		return nil, nil, err
	}
	if f.host == 0 && card == nil {
		f.host = 50 * time.Microsecond
	}
	settings := engine.Settings{MaxStepTokens: memory.StepTokens, MaxSequences: memory.MaxBatch, MaxRows: memory.MaxBatch, MaxContext: memory.MaxContext, PageSize: engine.DefaultPageSize}
	sim := &runtime.Simulation{Settings: settings, Pages: int(memory.Pages), QueueLimit: f.queueLimit, Cost: times.Of, Host: f.host}
	return sim, &simulated{Target: target, On: on, Pages: memory.Tokens, Batch: memory.MaxBatch}, nil
}

func (s *simulated) write(w io.Writer) error {
	f := s.Figures
	fmt.Fprintf(w, "%d servers of %s on %s, %d sequences and %d KV tokens each\n", f.Servers, s.Target, s.On, s.Batch, s.Pages)
	fmt.Fprintf(w, "%d requests in %.1f s, %d refused, %d too long; %d prompt and %d output tokens, %.0f output tokens a second\n",
		f.Requests, f.Seconds, f.Refused, f.TooLong, f.PromptTokens, f.OutputTokens, f.TokensPerSecond)
	fmt.Fprintf(w, "devices work %.0f %% of the time; at most %d wait at a server, %.0f %% of its KV pages are in use, %d preemptions\n\n", 100*f.Busy, f.Waiting, 100*f.Pages, f.Preemptions)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ms\tp50\tp90\tp99")
	for _, row := range []struct {
		name string
		of   replay.Percentiles
	}{{"first token", f.FirstToken}, {"between tokens", f.Gap}, {"whole answer", f.Answer}} {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\n", row.name, 1e3*row.of.P50, 1e3*row.of.P90, 1e3*row.of.P99)
	}
	return t.Flush()
}
