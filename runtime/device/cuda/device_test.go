//go:build cuda

package cuda

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"llmc/runtime/device/cuda/emulated"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// opened is a device of an emulated driver.
func opened(t *testing.T) (*device, *emulated.Driver) {
	t.Helper()
	card, err := emu.Impersonate("sm80", 12040)
	if err != nil {
		t.Fatal(err)
	}
	card.Memory = 256 << 20
	d := emulated.New(card)
	if err := d.Install(); err != nil {
		t.Fatal(err)
	}
	driver, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return driver.(*device), d
}

// source is constants that know what was read of them.
type source struct {
	mu          sync.Mutex
	list        []gpu.Constant
	read, ahead [][]int // times by byte, in units of 1 KiB of constants that have several
	fail        error
}

func newSource(sizes ...int) *source {
	s, random := &source{}, rand.NewChaCha8([32]byte{7})
	for i, size := range sizes {
		data := make([]byte, size)
		random.Read(data)
		s.read, s.ahead = append(s.read, make([]int, size>>10+1)), append(s.ahead, make([]int, size>>10+1))
		note := func(of [][]int, at, bytes int64) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for k := at >> 10; k <= (at+bytes-1)>>10 && k < int64(len(of[i])); k++ {
				of[i][k]++
			}
		}
		s.list = append(s.list, gpu.Constant{Name: "weight", Data: data,
			Read: func(to []byte, at int64) error {
				note(s.read, at, int64(len(to)))
				copy(to, data[at:at+int64(len(to))])
				return s.fail
			},
			ReadAhead: func(at, bytes int64) { note(s.ahead, at, bytes) },
		})
	}
	return s
}

// TestUpload wants every byte of constants of all sizes where it is said to lie, read once, and asked of the disk before.
func TestUpload(t *testing.T) {
	d, emulated := opened(t)
	s := newSource(1, 255, 256, 257, 0, 3*pieceBytes, 64, 64, pieceBytes-1, 5, 20*pieceBytes+77, 1)
	u, err := d.Constants(s.list)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, c := range s.list {
		got := make([]byte, len(c.Data))
		if err := (&memory{d, c.Name, u.Addr(i), int64(len(c.Data))}).Read(0, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, c.Data) || u.Addr(i)%gpu.RangeAlign != 0 {
			t.Errorf("constant %d of %d bytes at %#x is not what it was", i, len(c.Data), u.Addr(i))
		}
		for k, n := range s.read[i] {
			// A piece may end inside a KiB.
			if bytes := min(1<<10, len(c.Data)-k<<10); bytes > 0 && (n < 1 || n > 2 || s.ahead[i][k] < 1) {
				t.Fatalf("constant %d: KiB %d was read %d times, asked for %d times", i, k, n, s.ahead[i][k])
			}
		}
	}
	// One allocation; two buffers of a carrier beside the step's own.
	if c := emulated.Counts(); c.Allocations != 1 || c.PinnedAllocations > 1+2*mostCarriers || c.Taken != u.(*upload).bytes {
		t.Errorf("%+v", c)
	}
	if err := d.Close(); err != nil || emulated.InUse() != 0 {
		t.Errorf("%v, %d things are in use", err, emulated.InUse())
	}
}

// TestUploadFails wants the reason from Wait, and everything back from a device that is closed while constants are on their way.
func TestUploadFails(t *testing.T) {
	for _, wait := range []bool{true, false} {
		d, emulated := opened(t)
		s := newSource(30*pieceBytes, 30*pieceBytes)
		if wait {
			s.fail = errors.New("the disk is gone")
		}
		u, err := d.Constants(s.list)
		if err != nil {
			t.Fatal(err)
		}
		if wait {
			if err := u.Wait(); err == nil || !strings.Contains(err.Error(), "emulated sm80: weights: the disk is gone") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
		}
		if err := d.Close(); err != nil || emulated.InUse() != 0 {
			t.Errorf("%v, %d things are in use", err, emulated.InUse())
		}
	}
}

// TestWrongText wants what the driver says of a text that it does not compile, and nothing to be left of the parts that it did.
func TestWrongText(t *testing.T) {
	const header, right = ".version 7.8\n.target sm_80\n.address_size 64\n", "\n.visible .entry a(\n)\n{\n    ret;\n}\n"
	wrong := "\n.visible .entry b(\n)\n{\n    ret\n}\n"
	for _, text := range []string{header + wrong, header + right + wrong} {
		d, emulated := opened(t)
		_, err := d.Load(text)
		if err == nil || !strings.Contains(err.Error(), "emulated sm80: compiling: CUDA_ERROR_INVALID_PTX (218)") || !strings.Contains(err.Error(), "line 9, column 1") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
		}
		if err := d.Close(); err != nil || emulated.InUse() != 0 {
			t.Errorf("%v, %d things are in use", err, emulated.InUse())
		}
	}
}
