package emu

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// conformance vectors whose outputs were checked on hardware; see README.md beside them.
const vectorDir = "../../../../shared/ptx_vectors"

const (
	vectorSlack        = 4096    // one vector lets a second warp write behind what is compared
	readsUninitialized = "block" // adds to a register of an inner block that nobody wrote, and drops the sum
)

type vectorCase struct {
	Name     string  `json:"name"`
	InHex    *string `json:"in_hex"`
	OutType  string  `json:"out_type"`
	OutHex   string  `json:"out_hex"`
	OutCount int     `json:"out_count"`
	Block    uint32  `json:"block"`
	PTX      string  `json:"ptx"`
	Entry    string  `json:"entry"`
	Params   int     `json:"params"`
	Approx   bool    `json:"approx"`
}

func TestVectors(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(vectorDir, "cases.json"))
	if err != nil {
		t.Skip("no conformance vectors: ", err)
	}
	var file struct{ Cases []vectorCase }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 70 {
		t.Fatalf("only %d vectors", len(file.Cases))
	}
	for _, c := range file.Cases {
		t.Run(c.Name, c.run)
	}
}

func (c *vectorCase) run(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(vectorDir, c.PTX))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := Load(string(text))
	if err != nil {
		t.Fatal(err)
	}
	k, err := mod.Kernel(c.Entry)
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(c.OutHex)
	if err != nil {
		t.Fatal(err)
	}
	mem := NewMemory()
	out, _ := mem.Wrap("out", make([]byte, len(want)+vectorSlack), false)
	args := []uint64{out.Addr(), out.Addr()}
	if c.InHex != nil {
		in, err := hex.DecodeString(*c.InHex)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := mem.Wrap("in", in, false)
		args[0] = b.Addr()
	}
	if c.Params == 1 {
		args = args[1:]
	}
	if _, err = k.Launch(context.Background(), mem, Config{Grid: [3]uint32{1, 1, 1}, Block: [3]uint32{c.Block, 1, 1}, Shared: 1024, Args: args}, Options{Races: true, Counts: true}); c.Name == readsUninitialized {
		if f, ok := err.(*Fault); !ok || f.Kind != Uninitialized {
			t.Fatalf("error %v, want the uninitialized read of this vector", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	c.compare(t, out.Bytes()[:len(want)], want)
}

func (c *vectorCase) compare(t *testing.T, got, want []byte) {
	size := len(want) / c.OutCount
	for i := 0; i < len(want); i += size {
		var a, b uint64
		for k := size - 1; k >= 0; k-- {
			a, b = a<<8|uint64(got[i+k]), b<<8|uint64(want[i+k])
		}
		if a == b || c.Approx && near(c.OutType, a, b) {
			continue
		}
		t.Errorf("value %d: %#x, want %#x", i/size, a, b)
	}
}

// near allows what the vectors' notes allow for approximate instructions: two units in the last place of a single, and 2^-20 near zero.
func near(typ string, a, b uint64) bool {
	x, y, unit := float64(math.Float32frombits(uint32(a))), float64(math.Float32frombits(uint32(b))), 0x1p-23
	if typ == "f64" {
		x, y = math.Float64frombits(a), math.Float64frombits(b)
	}
	return math.Abs(x-y) <= 2*unit*math.Abs(y) || math.Abs(x-y) <= 0x1p-20
}
