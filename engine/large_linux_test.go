package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Writing and opening a plan of 4 GB takes no memory that grows with it. Figures are logged, not asserted.
func TestLargePlan(t *testing.T) {
	if os.Getenv("LLMC_LONG") == "" {
		t.Skip("LLMC_LONG=1 writes a file of 4 GB")
	}
	const weights, size, tile, threads = 64, 64 << 20, 1 << 20, 2
	spec := fixtureSpec(t)
	spec.Late = nil
	small := len(spec.Weights)
	for i := range weights {
		spec.Weights = append(spec.Weights, WeightEntry{Name: fmt.Sprint("w", i), DType: "u8", Shape: []int64{size}, Bytes: size})
	}
	path := filepath.Join(t.TempDir(), "large.plan")
	before := residentAnon(t)
	start := time.Now()
	w, err := NewWriter(path, spec)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for i := range small {
		w.Weight(i).Write(weightBytes(i, spec.Weights[i].Bytes))
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			piece := weightBytes(99, tile)
			for i := next.Add(1) - 1; i < weights; i = next.Add(1) - 1 {
				for range size / tile {
					piece[i%tile]++
					w.Weight(small + int(i)).Write(piece)
				}
			}
		})
	}
	wg.Wait()
	written := time.Since(start)
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	t.Logf("written in %v, durable in %v", written, time.Since(start))
	start = time.Now()
	p := openPlan(t, path)
	t.Logf("opened in %v", time.Since(start))
	start = time.Now()
	if err := p.VerifyWeights(context.Background(), threads, nil); err != nil {
		t.Error(err)
	}
	t.Logf("verified in %v", time.Since(start))
	if grown := residentAnon(t) - before; grown > 64<<20 {
		t.Errorf("anonymous memory grew by %d bytes", grown)
	}
}

// residentAnon returns the anonymous memory of this process in bytes.
func residentAnon(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	var kb int64
	for line := range strings.Lines(string(status)) {
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	t.Skip("no RssAnon")
	return 0
}
