package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sort"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"llmc/internal/cli"
	"llmc/runtime/device/emu"
)

// emulateOptions are the flags of emulate. args holds buffers and scalars in command-line order, whatever their flags.
type emulateOptions struct {
	entry, arch string
	grid, block extent
	shared      cli.Bytes
	args        []emulateArg
	seed        uint64
	threads     int
	steps       uint64
	noRaces     bool
	asJSON      bool
}

func emulateCommand() *cobra.Command {
	o := &emulateOptions{grid: extent{1, 1, 1}, block: extent{1, 1, 1}}
	cmd := &cobra.Command{
		Use:   "emulate FILE.ptx --entry KERNEL --arch ARCH",
		Short: "Run one PTX kernel without a GPU",
		Long: `Run one PTX kernel without a GPU. Arguments are taken in command-line order across --in, --out and --scalar; buffers are
passed by pointer. Races, bad addresses, divergent barriers, reads of what was never written and results used before
their wait are errors that name line, thread and address.`,
		Example: `  llmc emulate add.ptx --entry add --arch sm80 --grid 4 --block 256 --in a.bin --in b.bin --out 4096:sum.bin --scalar u32:1024`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			counts, err := o.run(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if o.asJSON {
				return cli.PrintJSON(cmd.OutOrStdout(), countsJSON(counts))
			}
			return printCounts(cmd.OutOrStdout(), counts)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.entry, "entry", "", "kernel to run")
	f.StringVar(&o.arch, "arch", "", "GPU that the module must suit, such as sm80, sm90a")
	f.Var(&o.grid, "grid", "CTAs in the grid")
	f.Var(&o.block, "block", "threads in a CTA")
	f.Var(&o.shared, "shared", "dynamic shared memory")
	f.Var(&argFlag{&o.args, "in"}, "in", "file whose bytes are an argument buffer (repeatable)")
	f.Var(&argFlag{&o.args, "out"}, "out", "zeroed argument buffer of BYTES that is written to FILE at the end (repeatable)")
	f.Var(&argFlag{&o.args, "scalar"}, "scalar", "argument by value, such as u32:7, f32:0.5, b64:0xff (repeatable)")
	f.Uint64Var(&o.seed, "seed", 0, "other than 0: asynchronous copies land at random times, at the latest at their wait")
	f.IntVar(&o.threads, "threads", 0, "threads to run CTAs on (default: all)")
	f.Uint64Var(&o.steps, "steps", 0, "fail after this many warp instructions (0: no limit)")
	f.BoolVar(&o.noRaces, "no-races", false, "do not look for races: faster")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	for _, name := range []string{"entry", "arch"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

const maxPTX = 256 << 20

func (o *emulateOptions) run(ctx context.Context, path string) (*emu.Counts, error) {
	if !emu.KnownArch(o.arch) {
		return nil, cli.Usagef("--arch %q: expected a GPU such as sm80 or sm90a", o.arch)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPTX+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxPTX {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxPTX)
	}
	mod, err := emu.Load(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := emu.CheckTarget(mod.Target(), o.arch); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	k, err := mod.Kernel(o.entry)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	mem := emu.NewMemory()
	if n := len(k.Params()); n < len(o.args) {
		fmt.Fprintf(os.Stderr, "kernel %s takes %d arguments: the last %d of %d are not passed\n", k.Name(), n, len(o.args)-n, len(o.args))
	}
	bound, err := bindArgs(mem, k, o.args)
	if err != nil {
		return nil, err
	}
	counts, err := k.Launch(ctx, mem, emu.Config{Grid: o.grid, Block: o.block, Shared: int(o.shared), Args: bound.slots},
		emu.Options{Workers: o.threads, Seed: o.seed, Races: !o.noRaces, Counts: true, Steps: o.steps})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return counts, bound.writeOuts()
}

type emulateCounts struct {
	Instructions        uint64            `json:"instructions"`
	Classes             map[string]uint64 `json:"classes"`
	MACs                uint64            `json:"tensor_macs"`
	GlobalBytesLoaded   uint64            `json:"global_bytes_loaded"`
	GlobalBytesStored   uint64            `json:"global_bytes_stored"`
	GlobalSectorsLoaded uint64            `json:"global_sectors_loaded"`
	GlobalSectorsStored uint64            `json:"global_sectors_stored"`
	SharedBytesLoaded   uint64            `json:"shared_bytes_loaded"`
	SharedBytesStored   uint64            `json:"shared_bytes_stored"`
	BankConflicts       uint64            `json:"bank_conflicts"`
	AtomicBytes         uint64            `json:"atomic_bytes"`
	AsyncBytes          uint64            `json:"async_copy_bytes"`
}

func countsJSON(c *emu.Counts) emulateCounts {
	return emulateCounts{
		c.Instructions, c.Classes, c.MACs, c.GlobalLoaded, c.GlobalStored, c.SectorsLoaded, c.SectorsStored,
		c.SharedLoaded, c.SharedStored, c.Conflicts, c.AtomicBytes, c.CopiedBytes,
	}
}

func printCounts(w io.Writer, c *emu.Counts) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "warp instructions\t%d\n", c.Instructions)
	names := make([]string, 0, len(c.Classes))
	for name := range c.Classes {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool { return c.Classes[names[i]] > c.Classes[names[j]] })
	for _, name := range names {
		fmt.Fprintf(t, "  %s\t%d\n", name, c.Classes[name])
	}
	fmt.Fprintf(t, "tensor-core multiply-adds\t%d\n", c.MACs)
	fmt.Fprintf(t, "global bytes loaded, stored\t%d, %d\n", c.GlobalLoaded, c.GlobalStored)
	fmt.Fprintf(t, "global sectors loaded, stored\t%d, %d\n", c.SectorsLoaded, c.SectorsStored)
	fmt.Fprintf(t, "shared bytes loaded, stored\t%d, %d\n", c.SharedLoaded, c.SharedStored)
	fmt.Fprintf(t, "bank conflicts\t%d\n", c.Conflicts)
	fmt.Fprintf(t, "atomic bytes\t%d\n", c.AtomicBytes)
	fmt.Fprintf(t, "bytes copied asynchronously\t%d\n", c.CopiedBytes)
	return t.Flush()
}
