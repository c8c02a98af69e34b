package launch

import (
	"strings"
	"testing"
)

// TestFromEnvironment reads what launchers set: the variables of their manuals.
func TestFromEnvironment(t *testing.T) {
	for _, c := range []struct {
		vars map[string]string
		want World
		err  string
	}{
		{nil, World{Nodes: 1, By: "llmrun"}, ""},
		{map[string]string{"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, World{Nodes: 1, By: "llmrun"}, ""},
		{map[string]string{"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, World{2, 1, "127.0.0.1", "Open MPI"}, ""},
		{map[string]string{"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, World{4, 1, "", "Open MPI"}, ""},
		{map[string]string{"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALNRANKS": "4"}, World{4, 3, "127.0.0.1", "PMI"}, ""},
		{map[string]string{"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_NNODES": "2", "SLURM_STEP_NODELIST": "gpu[07-09,12]"}, World{2, 1, "gpu07", "Slurm"}, ""},
		{map[string]string{"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "alpha,beta"}, World{2, 1, "alpha", "Slurm"}, ""},
		{map[string]string{"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_NNODES": "1"}, World{2, 1, "127.0.0.1", "Slurm"}, ""},
		{map[string]string{"LWS_WORKER_INDEX": "1", "LWS_GROUP_SIZE": "2", "LWS_LEADER_ADDRESS": "x-0.x.ns"}, World{2, 1, "x-0.x.ns", "LeaderWorkerSet"}, ""},
		{map[string]string{"PMI_RANK": "2", "PMI_SIZE": "2"}, World{}, "name no process"},
		{map[string]string{"PMI_RANK": "x", "PMI_SIZE": "2"}, World{}, "is no number"},
	} {
		got, err := FromEnvironment(func(name string) string { return c.vars[name] })
		if err == nil && c.err != "" || err != nil && (c.err == "" || !strings.Contains(err.Error(), c.err)) || got != c.want {
			t.Errorf("%v: %+v, %v; want %+v, %q", c.vars, got, err, c.want, c.err)
		}
	}
}

// TestWorldsAreChecked wants ranks shared evenly, and somewhere to meet.
func TestWorldsAreChecked(t *testing.T) {
	for _, c := range []struct {
		world  World
		ranks  int
		leader string
		err    string
	}{
		{World{Nodes: 1}, 2, "", ""},
		{World{Nodes: 2, Leader: "host"}, 4, "host:29610", ""},
		{World{Nodes: 2, Leader: "host:1"}, 4, "host:1", ""},
		{World{Nodes: 2, Leader: "fe80::1"}, 4, "[fe80::1]:29610", ""},
		{World{Nodes: 2}, 4, "", "--leader-addr"},
		{World{Nodes: 4, Leader: "host", By: "Slurm"}, 2, "", "2 ranks (tp times pp) for 4 processes of Slurm"},
		{World{Nodes: 2, Node: 2}, 2, "", "node 2 of 2"},
	} {
		err := c.world.Check(c.ranks)
		if err == nil && (c.err != "" || c.world.Leader != c.leader) || err != nil && (c.err == "" || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%+v: %v, want leader %q, %q", c.world, err, c.leader, c.err)
		}
	}
}
