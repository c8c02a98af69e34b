package compiler

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// anonWatch samples the anonymous memory of this process (RssAnon): what a build needs of the machine besides the page cache.
type anonWatch struct {
	stop chan struct{}
	done sync.WaitGroup
	peak int64
}

const anonInterval = 20 * time.Millisecond

func watchAnon() *anonWatch {
	w := &anonWatch{stop: make(chan struct{})}
	w.done.Add(1)
	go func() {
		defer w.done.Done()
		ticker := time.NewTicker(anonInterval)
		defer ticker.Stop()
		for {
			w.peak = max(w.peak, anonBytes())
			select {
			case <-ticker.C:
			case <-w.stop:
				w.peak = max(w.peak, anonBytes())
				return
			}
		}
	}()
	return w
}

// end stops sampling and returns the highest value seen, 0 where the system does not tell.
func (w *anonWatch) end() int64 {
	close(w.stop)
	w.done.Wait()
	return w.peak
}

func anonBytes() int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "RssAnon:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10
		}
	}
	return 0
}
