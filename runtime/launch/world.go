package launch

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// World is how many processes were started from outside, and where the first of them is met. Each starts the ranks that there are more of on its machine.
type World struct {
	Nodes, Node int
	Leader      string // host:port of the first rank; "": nobody said
	By          string // what started them
}

// DefaultPort is where the first rank is met if nothing says otherwise.
const DefaultPort = 29610

// launcher is how programs that start many processes tell each its number.
type launcher struct {
	name       string
	rank, size string
	// nodes counts machines, and localSize the processes on this one: either tells whether all are on one machine.
	nodes, localSize string
	leader           func(get func(string) string) string
}

var launchers = []launcher{
	{name: "llmrun", rank: "LLMRUN_NODE_RANK", size: "LLMRUN_NNODES"},
	{name: "LeaderWorkerSet", rank: "LWS_WORKER_INDEX", size: "LWS_GROUP_SIZE", leader: func(get func(string) string) string { return get("LWS_LEADER_ADDRESS") }},
	{name: "Open MPI", rank: "OMPI_COMM_WORLD_RANK", size: "OMPI_COMM_WORLD_SIZE", localSize: "OMPI_COMM_WORLD_LOCAL_SIZE"},
	{name: "PMI", rank: "PMI_RANK", size: "PMI_SIZE", localSize: "MPI_LOCALNRANKS"},
	{name: "Slurm", rank: "SLURM_PROCID", size: "SLURM_NTASKS", nodes: "SLURM_NNODES", leader: slurmLeader},
}

// FromEnvironment reads what a launcher has set. Without one, and where it started one process, that is all there is.
func FromEnvironment(get func(string) string) (World, error) {
	for _, l := range launchers {
		if get(l.rank) == "" || get(l.size) == "" || get(l.size) == "1" {
			continue
		}
		node, err := strconv.Atoi(get(l.rank))
		if err != nil {
			return World{}, fmt.Errorf("%s=%q of %s is no number", l.rank, get(l.rank), l.name)
		}
		nodes, err := strconv.Atoi(get(l.size))
		if err != nil || node < 0 || node >= nodes {
			return World{}, fmt.Errorf("%s=%s and %s=%q of %s name no process", l.rank, get(l.rank), l.size, get(l.size), l.name)
		}
		w := World{Nodes: nodes, Node: node, By: l.name, Leader: get("LLMRUN_LEADER")}
		if w.Leader == "" && l.leader != nil {
			w.Leader = l.leader(get)
		}
		if w.Leader == "" && (l.nodes != "" && get(l.nodes) == "1" || l.localSize != "" && get(l.localSize) == get(l.size)) {
			w.Leader = "127.0.0.1"
		}
		return w, nil
	}
	return World{Nodes: 1, By: "llmrun"}, nil
}

// slurmLeader is the first node of the step, or of the job.
func slurmLeader(get func(string) string) string {
	if get("SLURM_NNODES") == "1" {
		return "127.0.0.1"
	}
	list := get("SLURM_STEP_NODELIST")
	if list == "" {
		list = get("SLURM_JOB_NODELIST")
	}
	return firstHost(list)
}

// firstHost takes the first of a list such as "gpu[007-009,12],login".
func firstHost(list string) string {
	end := strings.IndexAny(list, "[,")
	if end < 0 {
		return list
	}
	if list[end] == ',' {
		return list[:end]
	}
	first := list[end+1:]
	if i := strings.IndexAny(first, "-,]"); i >= 0 {
		first = first[:i]
	}
	return list[:end] + first
}

var errNoLeader = errors.New("nothing says where the first rank is: give --leader-addr HOST:PORT, the same on all machines")

// Check wants a number of ranks that the processes can share evenly, and a place to meet.
func (w *World) Check(ranks int) error {
	switch {
	case w.Nodes < 1 || w.Node < 0 || w.Node >= w.Nodes:
		return fmt.Errorf("node %d of %d", w.Node, w.Nodes)
	case ranks%w.Nodes != 0:
		return fmt.Errorf("%d ranks (tp times pp) for %d processes of %s: each must have as many", ranks, w.Nodes, w.By)
	case w.Nodes > 1 && w.Leader == "":
		return errNoLeader
	}
	if w.Leader == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(w.Leader); err != nil {
		w.Leader = net.JoinHostPort(strings.Trim(w.Leader, "[]"), strconv.Itoa(DefaultPort))
	}
	return nil
}
