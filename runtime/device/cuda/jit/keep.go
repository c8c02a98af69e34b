package jit

import (
	"os"
	"path/filepath"
	"strconv"
)

const (
	// Environment names a directory below which the driver keeps what it compiles; Off: it keeps nothing.
	Environment = "LLMC_CACHE"
	Off         = "off"

	keptBytes = 1 << 30 // of all compiled code; older drivers keep a quarter of that
)

// Keep says to NVIDIA's driver, which reads its environment when it starts, whether and where to keep compiled code. It has a cache by the hash of the text
// and its own version, in ~/.nv/ComputeCache where nobody names another place. What the user says to it stays.
func Keep(off bool) error {
	dir := os.Getenv(Environment)
	if off || dir == Off {
		return os.Setenv("CUDA_CACHE_DISABLE", "1")
	}
	values := [][2]string{{"CUDA_CACHE_MAXSIZE", strconv.Itoa(keptBytes)}}
	if dir != "" {
		dir = filepath.Join(dir, "jit")
		if err := os.MkdirAll(dir, 0o700); err != nil { // what is read from there runs on the GPU
			return err
		}
		values = append(values, [2]string{"CUDA_CACHE_PATH", dir})
	}
	for _, v := range values {
		if _, given := os.LookupEnv(v[0]); given {
			continue
		}
		if err := os.Setenv(v[0], v[1]); err != nil {
			return err
		}
	}
	return nil
}
