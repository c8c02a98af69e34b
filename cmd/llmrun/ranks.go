package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"llmc/engine"
	"llmc/engine/partition"
	"llmc/internal/cli"
	"llmc/internal/version"
	"llmc/runtime"
	"llmc/runtime/comm"
	"llmc/runtime/device/cpu"
	"llmc/runtime/device/gpu"
	"llmc/runtime/launch"
)

// rankFlags say among how many ranks a model is split, and where they are.
type rankFlags struct {
	ranks      partition.Ranks
	cards      int // GPUs that share each layer, in place of ranks; 0: none is said
	stages     int // groups of so many that have some of the layers each; ranks are the machines then
	device     string
	nodes      int
	node       int
	leader     string
	transport  string
	secretFile string
	timeout    time.Duration

	world   launch.World
	group   *comm.Group // of this process, once it has met the others
	started *launch.Processes
}

func (f *rankFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&f.ranks.TP, "tp", 1, "what shares each layer: on the cpu device so many processes, by columns of products, heads of attention and experts; on device cuda so many GPUs, of a plan that was built with this --tp")
	flags.IntVar(&f.ranks.PP, "pp", 1, "groups of processes, or on device cuda of GPUs, that have some of the layers each, one behind the other")
	flags.IntVar(&f.nodes, "nnodes", 0, "machines among which the processes are shared evenly; the same command runs on each (default: what mpirun, Slurm or LeaderWorkerSet say, or this one)")
	flags.IntVar(&f.node, "node-rank", 0, "which of the machines this one is, 0 being the one that serves")
	flags.StringVar(&f.leader, "leader-addr", "", "HOST:PORT at which the processes meet the first one")
	flags.StringVar(&f.transport, "rank-transport", "auto", "what carries bytes between processes: shm (memory that those of one machine share), tcp, or auto: shm where it can be; between GPUs of several machines nccl, which auto takes where all have it")
	flags.StringVar(&f.secretFile, "rank-secret-file", "", "file with the secret by which processes of several machines know each other (default: LLMRUN_RANK_SECRET)")
	flags.DurationVar(&f.timeout, "rank-timeout", comm.DefaultTimeout, "how long a process may stand still in a step before the others give up")
	cli.CompleteFlag(cmd, "rank-transport", transports...)
}

// transports are the values of --rank-transport.
var transports = append(slices.Clone(comm.Transports), gpu.TransportNCCL)

// machines are what GPUs of several machines have of each other.
func (f *rankFlags) machines(group *comm.Group) *gpu.Machines {
	return &gpu.Machines{Group: group, Transport: f.transport}
}

// several tells whether the model is split.
func (f *rankFlags) several() bool { return f.ranks.Size() > 1 }

// check refuses what can not be, and finds out which process this is.
func (f *rankFlags) check(device string) (err error) {
	switch {
	case f.cards > 0: // it has looked before
		return nil
	case f.ranks.TP < 1 || f.ranks.PP < 1 || f.ranks.TP > partition.MaxRanks || f.ranks.PP > partition.MaxRanks || f.ranks.Size() > partition.MaxRanks:
		return cli.Usagef("--tp is %d and --pp %d: must be at least 1 each, and %d together at most", f.ranks.TP, f.ranks.PP, partition.MaxRanks)
	case !slices.Contains(transports, f.transport):
		return cli.Usagef("--rank-transport is %q: must be one of %s", f.transport, strings.Join(transports, ", "))
	case f.transport == gpu.TransportNCCL && (device == "auto" || device == (cpu.Device{}).Name()):
		return cli.Usagef("--rank-transport nccl is for GPUs of several machines (--device cuda): processes on processors take shm or tcp")
	case f.timeout <= 0:
		return cli.Usagef("--rank-timeout is %v: must be above 0", f.timeout)
	case !f.several() && (f.nodes > 1 || f.node > 0 || f.leader != ""):
		return cli.Usagef("--nnodes, --node-rank and --leader-addr are for --tp and --pp: with one process there is nothing to share; for copies of a model start a server each")
	case !f.several():
		return nil
	}
	if f.world, err = launch.FromEnvironment(os.Getenv); err != nil {
		return err
	}
	if f.nodes > 0 {
		f.world = launch.World{Nodes: f.nodes, Node: f.node, By: "--nnodes"}
	}
	if f.leader != "" {
		f.world.Leader = f.leader
	}
	if device != "auto" && device != (cpu.Device{}).Name() {
		if err := f.takeCards(device); err != nil {
			return err
		}
	}
	if os.Getenv(launch.EnvRank) != "" { // another rank of this machine started it
		f.world.Leader = os.Getenv(launch.EnvLeader)
	}
	if err := f.world.Check(f.ranks.Size()); err != nil {
		return cli.Usagef("%w", err)
	}
	return nil
}

// takeCards has GPUs of this process share the model, where processes do on processors: those of a stage are on one machine, and each machine has as many stages.
func (f *rankFlags) takeCards(device string) error {
	nodes := max(1, f.world.Nodes)
	switch {
	case f.ranks.PP%nodes != 0:
		return cli.Usagef("--tp %d and --pp %d on device %s for %d machines (%s): the GPUs that share a layer are on one machine, and each machine has as many stages; give a --pp that is a multiple of %d",
			f.ranks.TP, f.ranks.PP, device, nodes, f.world.By, nodes)
	case f.ranks.Size()/nodes > engine.MaxCards:
		return cli.Usagef("--tp %d and --pp %d on device %s: at most %d GPUs share a model", f.ranks.TP, f.ranks.PP, device, engine.MaxCards)
	}
	f.device, f.cards, f.stages, f.ranks = device, f.ranks.TP, f.ranks.PP, partition.Ranks{TP: 1, PP: nodes}
	return nil
}

// cardsInstead names the device whose cards can share a plan, where processes can not.
func (f *rankFlags) cardsInstead(plan *engine.Plan) string {
	for _, target := range plan.Targets(plan.Main()) {
		if slices.Contains(plan.Cards(target), f.ranks.TP) {
			return fmt.Sprintf("; %d GPUs share it with --device cuda", f.ranks.TP)
		}
	}
	return ""
}

// perNode is how many ranks a machine, or a process of a launcher, has.
func (f *rankFlags) perNode() int { return f.ranks.Size() / max(1, f.world.Nodes) }

// threads is how many a rank has if nobody says: its part of the processors that a launcher's process may use.
func (f *rankFlags) threads() int { return max(1, goruntime.NumCPU()/f.perNode()) }

// secret is what ranks know each other by.
func (f *rankFlags) secret() ([]byte, error) {
	if f.secretFile == "" {
		return []byte(os.Getenv(launch.EnvSecret)), nil
	}
	text, err := os.ReadFile(f.secretFile)
	if err != nil {
		return nil, err
	}
	if text = []byte(strings.TrimSpace(string(text))); len(text) == 0 {
		return nil, fmt.Errorf("%s: the file is empty; it holds the secret of the ranks", f.secretFile)
	}
	return text, nil
}

// meet makes this process one of the ranks that compute the plan. It comes back in the first of them with device, and in others once that ends: then this process has nothing more to do.
func (f *rankFlags) meet(ctx context.Context, path string, threads int) (follows bool, err error) {
	if !f.several() {
		return false, nil
	}
	if threads == 0 {
		threads = f.threads()
	}
	plan, err := engine.Open(path)
	if err != nil {
		return false, err
	}
	defer plan.Close()
	if f.cards == 0 {
		if err := cpu.Divides(plan, f.ranks); err != nil {
			return false, fmt.Errorf("%s: %w%s", path, err, f.cardsInstead(plan))
		}
	}
	config := comm.Config{Size: f.ranks.Size(), Rank: f.world.Node * f.perNode(), Plan: plan.Digest(), Version: version.Full(), Transport: f.transport, Wait: comm.DefaultWait, Timeout: f.timeout}
	if f.transport == gpu.TransportNCCL { // which carries rows alone
		config.Transport = comm.Transports[0]
	}
	if config.Secret, err = f.secret(); err != nil {
		return false, err
	}
	if own := os.Getenv(launch.EnvRank); own != "" {
		if config.Rank, err = strconv.Atoi(own); err != nil || config.Rank < 1 || config.Rank >= config.Size {
			return false, fmt.Errorf("%s=%q is none of the %d ranks of --tp %d --pp %d", launch.EnvRank, own, config.Size, f.ranks.TP, f.ranks.PP)
		}
		return true, f.follow(ctx, plan, config, threads)
	}
	if config.Rank > 0 {
		if f.started, err = launch.Start(config.Rank+1, config.Rank+f.perNode(), f.world.Leader, config.Secret); err != nil {
			return false, err
		}
		defer f.started.End(endPatience)
		return true, f.follow(ctx, plan, config, threads)
	}
	return false, f.lead(ctx, config)
}

// asRank serves plans, or computes what another rank serves.
func (f *serveFlags) asRank(ctx context.Context, plans []string) error {
	if err := f.refuse(plans); err != nil {
		return err
	}
	if f.several() {
		if follows, err := f.meet(ctx, plans[0], f.settings.Threads); follows || err != nil {
			return err
		}
		defer f.rankFlags.close()
	}
	return f.run(ctx, plans)
}

// watchRanks ends the server when other ranks are lost while no step runs that would notice.
func (f *rankFlags) watchRanks(lost chan<- error) {
	if f.group == nil {
		return
	}
	go func() {
		<-f.group.Ended()
		if errors.Is(f.group.Err(), comm.ErrClosed) {
			return
		}
		select {
		case lost <- fmt.Errorf("%w; start again", f.group.Err()):
		default: // a step was first
		}
	}()
}

// endPatience is how long started ranks may take to end once the first has.
const endPatience = 5 * time.Second

// follow is the life of a rank that is not the first. Signals are for the first: it ends, and this one then.
func (f *rankFlags) follow(ctx context.Context, plan *engine.Plan, config comm.Config, threads int) error {
	group, err := comm.Join(ctx, f.world.Leader, config)
	if err != nil {
		return err
	}
	defer group.Close()
	goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(0) + threads)
	ctx = context.WithoutCancel(ctx)
	if f.cards > 0 {
		err = runtime.Follow(ctx, plan, f.device, f.machines(group))
	} else {
		err = cpu.Follow(ctx, plan, &cpu.Split{Ranks: f.ranks, Group: group}, threads)
	}
	if err != nil {
		return fmt.Errorf("rank %d: %w", config.Rank, err)
	}
	return nil
}

// lead starts the other ranks of this machine and waits for all.
func (f *rankFlags) lead(ctx context.Context, config comm.Config) error {
	listen := f.world.Leader
	if listen == "" {
		listen = "127.0.0.1:0"
		var secret [32]byte
		_, _ = rand.Read(secret[:])
		config.Secret = []byte(hex.EncodeToString(secret[:]))
	}
	l, err := comm.Listen(listen, config.Secret)
	if err != nil { // a name that others know this machine by, and it does not have itself
		if _, port, splitErr := net.SplitHostPort(listen); splitErr == nil && len(config.Secret) > 0 {
			l, err = comm.Listen(":"+port, config.Secret)
		}
	}
	if err != nil {
		return fmt.Errorf("waiting for ranks: %w", err)
	}
	leader := f.world.Leader
	if leader == "" {
		leader = l.Addr().String()
	}
	if f.started, err = launch.Start(1, f.perNode(), leader, config.Secret); err != nil {
		l.Close()
		return err
	}
	meeting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	met := make(chan struct{})
	go func() {
		select {
		case err := <-f.started.Ended:
			stop(err)
		case <-met:
		}
	}()
	group, err := comm.Lead(meeting, l, config)
	close(met)
	if err != nil {
		f.started.End(0)
		if cause := context.Cause(meeting); cause != nil && ctx.Err() == nil {
			return cause
		}
		return err
	}
	f.group = group
	return nil
}

// load loads a plan on all ranks, or on the device of the flags.
func (f *rankFlags) load(path, device string, settings engine.Settings) (*runtime.Loaded, error) {
	switch {
	case f.group == nil:
		return runtime.Load(path, device, settings)
	case f.cards > 0:
		return runtime.LoadMachines(path, device, f.machines(f.group), settings)
	}
	return runtime.LoadOn(path, cpu.Device{Split: &cpu.Split{Ranks: f.ranks, Group: f.group}}, settings)
}

// exchanged is what this rank has exchanged with others so far.
func (f *rankFlags) exchanged() comm.Traffic {
	if f.group == nil {
		return comm.Traffic{}
	}
	return f.group.Traffic()
}

// tellExchanges says what exchanges have taken of a time that began with before.
func (f *rankFlags) tellExchanges(w io.Writer, before comm.Traffic, took time.Duration) {
	now := f.exchanged()
	if now.Exchanges -= before.Exchanges; now.Exchanges == 0 {
		return
	}
	now.Time, now.Sent = now.Time-before.Time, now.Sent-before.Sent
	fmt.Fprintf(w, "ranks: tp %d, pp %d, over %s: %d exchanges of %.1f us, %.1f %% of the time, waiting for slower ranks included; the first sent %.1f KiB in each\n", f.ranks.TP, f.ranks.PP,
		f.group.Transport(f.ranks.Size()-1), now.Exchanges, float64(now.Time.Microseconds())/float64(now.Exchanges), 100*now.Time.Seconds()/took.Seconds(), float64(now.Sent)/1024/float64(now.Exchanges))
}

// close ends the group, and the ranks that this process has started.
func (f *rankFlags) close() {
	if f.group != nil {
		f.group.Close()
	}
	if f.started != nil {
		f.started.End(endPatience)
	}
}

// onePlan refuses what several ranks do not serve.
func (f *rankFlags) onePlan(plans []string, repository string) error {
	if (f.several() || f.cards*f.stages > 1) && (len(plans) != 1 || repository != "") {
		return errors.New("--tp and --pp split one plan: a repository, or several plans, are not there yet for several ranks")
	}
	return nil
}
