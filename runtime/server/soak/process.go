package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"llmc/runtime/bench/peers/proc"
)

// process is a server under test.
type process struct {
	cmd   *exec.Cmd
	url   string
	addr  string        // host:port
	ready time.Duration // from the start to the ready line
	ended chan struct{} // closed when it has ended
	err   error         // of its end; read once ended is closed

	said proc.Tail // of what it wrote on stderr beside the ready line
}

// startLimit is how long a server may take to be ready.
const startLimit = time.Minute

// build compiles a checkpoint to a plan.
func (o *options) build(ctx context.Context, model, name string, args ...string) (plan string, err error) {
	plan = filepath.Join(o.dir, name+".plan")
	cmd := exec.CommandContext(ctx, filepath.Join(o.bin, "llmc"), append([]string{"build", model, "-o", plan}, args...)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("llmc build %s: %w: %s", model, err, proc.LastLine(text))
	}
	return plan, nil
}

// serve starts a server and waits until it is ready.
func (o *options) serve(args ...string) (*process, error) {
	cmd := exec.Command(filepath.Join(o.bin, "llmrun"), slices.Concat([]string{"serve", "--port", "0"}, o.server, args)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan string, 1)
	go p.listen(bufio.NewReader(stderr), ready)
	select {
	case line, ok := <-ready:
		if !ok {
			<-p.ended
			return nil, fmt.Errorf("llmrun serve: %w: %s", p.err, p.said.Last())
		}
		p.ready, p.url = time.Since(began), line
		p.addr = strings.TrimPrefix(line, "http://")
		return p, nil
	case <-time.After(startLimit):
		p.kill()
		return nil, fmt.Errorf("llmrun serve is not ready after %v", startLimit)
	}
}

// listen reads what the server says: the address of its ready line goes to ready, what follows is kept.
func (p *process) listen(r *bufio.Reader, ready chan<- string) {
	defer close(p.ended)
	for {
		line, err := r.ReadString('\n')
		if _, rest, ok := strings.Cut(line, "ready: "); ok {
			address, _, _ := strings.Cut(rest, " ")
			ready <- address
		} else if line != "" {
			_, _ = p.said.Write([]byte(line))
		}
		if err != nil {
			close(ready)
			p.err = p.cmd.Wait()
			return
		}
	}
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill ends the server at once, as the system would.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// stop drains the server, which has to end with exit code 0.
func (p *process) stop() error {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(startLimit):
		p.kill()
		return errors.New("the server did not end after SIGTERM")
	}
	if p.err != nil {
		return fmt.Errorf("the server ended with %w: %s", p.err, p.said.Last())
	}
	return nil
}

// state is what must come back to what it was.
type state struct {
	goroutines, descriptors int
	pages                   float64 // part of the KV pages that requests hold
	running, waiting        int
	anon                    int64   // bytes of memory of the process's own: heap and cache
	seconds                 float64 // of processors, in all
}

// look asks the server and the system.
func (p *process) look() (s state, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: askLimit}
	resp, err := client.Get(p.url + "/metrics")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return s, err
	}
	s.goroutines = int(sum(text, "go_goroutines"))
	s.pages = sum(text, "vllm:kv_cache_usage_perc")
	s.running, s.waiting = int(sum(text, "vllm:num_requests_running")), int(sum(text, "vllm:num_requests_waiting"))
	s.seconds = sum(text, "process_cpu_seconds_total")
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		return s, err
	}
	s.descriptors = len(fds)
	s.anon, err = p.anonymous()
	return s, err
}

// sum adds up the samples of a metric, of all models.
func sum(exposition []byte, name string) (total float64) {
	for line := range strings.Lines(string(exposition)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' '):]), 64)
		if err == nil {
			total += value
		}
	}
	return total
}

// anonymous returns the RssAnon of /proc/PID/status, in bytes.
func (p *process) anonymous() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "RssAnon:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc tells no RssAnon")
}
