package launch

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// Processes are ranks that this process has started: itself again, with the same arguments.
type Processes struct {
	list  []*exec.Cmd
	Ended chan error // gets why each ended
	all   sync.WaitGroup
}

// Names of what a started rank finds in its environment.
const (
	EnvRank   = "LLMRUN_RANK"
	EnvLeader = "LLMRUN_LEADER"
	EnvSecret = "LLMRUN_RANK_SECRET"
)

// Start starts ranks first to end-1, which meet the first rank at leader.
func Start(first, end int, leader string, secret []byte) (*Processes, error) {
	p := &Processes{Ended: make(chan error, max(0, end-first))}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	environment := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, EnvRank+"=") || strings.HasPrefix(v, EnvLeader+"=") || strings.HasPrefix(v, EnvSecret+"=")
	})
	for rank := first; rank < end; rank++ {
		cmd := exec.Command(program, os.Args[1:]...)
		cmd.Env = append(slices.Clone(environment), fmt.Sprintf("%s=%d", EnvRank, rank), EnvLeader+"="+leader, EnvSecret+"="+string(secret))
		cmd.Stderr = os.Stderr
		apart(cmd)
		if err := cmd.Start(); err != nil {
			p.End(0)
			return nil, fmt.Errorf("rank %d can not be started: %w", rank, err)
		}
		p.list = append(p.list, cmd)
		p.all.Go(func() {
			err := cmd.Wait()
			if err == nil {
				err = errors.New("it has ended")
			}
			p.Ended <- fmt.Errorf("rank %d: %w", rank, err)
		})
	}
	return p, nil
}

// End waits for the processes to end, and ends those that take longer than patience.
func (p *Processes) End(patience time.Duration) {
	ended := make(chan struct{})
	go func() { p.all.Wait(); close(ended) }()
	select {
	case <-ended:
		return
	case <-time.After(patience):
	}
	for _, cmd := range p.list {
		_ = cmd.Process.Kill()
	}
	<-ended
}
