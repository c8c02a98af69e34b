package emu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A strict case is the body of a kernel in testdata/strict. Lines that end in //FIX belong to the right program alone, lines
// marked //BUG to the wrong one alone. The right one must run, the wrong one must fail with the fault that the head names, at
// the line marked HERE.
type strictCase struct {
	fault        string
	target       string
	block, grid  int
	right, wrong string
	line         int
}

const strictHead = `.version 8.0
.target %s
.address_size 64
.visible .entry k(.param .u64 out)
{
.reg .pred p<8>;
.reg .b16 h<8>;
.reg .b32 r<32>;
.reg .b64 d<16>;
.reg .f32 f<80>;
.shared .align 1024 .b8 smem[16384];
ld.param.u64 d0, [out];
cvta.to.global.u64 d0, d0;
mov.u32 r0, %%tid.x;
`

const strictBuffer = 65536

func readStrict(t *testing.T, path string) strictCase {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := strictCase{target: "sm_90", block: 32, grid: 1}
	var right, wrong strings.Builder
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	n := strings.Count(strictHead, "\n")
	for _, l := range lines {
		if key, value, ok := strings.Cut(strings.TrimPrefix(l, "// "), ": "); ok && strings.HasPrefix(l, "// ") {
			switch key {
			case "fault":
				c.fault = value
			case "target":
				c.target = value
			case "block":
				c.block, _ = strconv.Atoi(value)
			case "grid":
				c.grid, _ = strconv.Atoi(value)
			}
		}
		n++
		code, mark, _ := strings.Cut(l, "//")
		if strings.Contains(mark, "HERE") {
			c.line = n
		}
		blankIf := func(blank bool) string {
			if blank {
				return "\n"
			}
			return code + "\n"
		}
		right.WriteString(blankIf(strings.HasPrefix(mark, "BUG")))
		wrong.WriteString(blankIf(strings.HasPrefix(mark, "FIX")))
	}
	head := fmt.Sprintf(strictHead, c.target)
	c.right, c.wrong = head+right.String()+"ret;\n}\n", head+wrong.String()+"ret;\n}\n"
	return c
}

func (c *strictCase) run(text string, opt Options) error {
	mod, err := Load(text)
	if err != nil {
		return err
	}
	k, err := mod.Kernel("k")
	if err != nil {
		return err
	}
	mem := NewMemory()
	out, err := mem.Alloc("out", strictBuffer)
	if err != nil {
		return err
	}
	clear(out.Bytes())
	_, err = k.Launch(context.Background(), mem, Config{
		Grid: [3]uint32{uint32(c.grid), 1, 1}, Block: [3]uint32{uint32(c.block), 1, 1}, Args: []uint64{out.Addr()},
	}, opt)
	return err
}

func TestStrict(t *testing.T) {
	files, err := filepath.Glob("testdata/strict/*.ptx")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".ptx"), func(t *testing.T) {
			c := readStrict(t, path)
			assemble(t, c.right)
			assemble(t, c.wrong)
			for seed := range uint64(4) {
				if err := c.run(c.right, Options{Races: true, Seed: seed, Steps: 1 << 20, Workers: 1}); err != nil {
					t.Errorf("right program, seed %d: %v", seed, err)
				}
			}
			err := c.run(c.wrong, Options{Races: true, Steps: 1 << 20, Workers: 1})
			var f *Fault
			if !errors.As(err, &f) {
				t.Fatalf("wrong program: error %v, want %s at line %d", err, c.fault, c.line)
			}
			if f.Kind.String() != c.fault || f.Line != c.line {
				t.Errorf("wrong program: %v\nwant %s at line %d", f, c.fault, c.line)
			}
		})
	}
}
