package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"llmc/internal/cli"
	"llmc/runtime/device/cpu"
)

// roof prints what the processor does at best on the threads of the flag.
func (f *benchFlags) roof(w io.Writer) error {
	settings, err := f.resolved()
	if err != nil {
		return err
	}
	r, err := cpu.MeasureRoof(settings.Threads)
	if err != nil {
		return err
	}
	if f.json {
		return cli.PrintJSON(w, r)
	}
	fmt.Fprintf(w, "%d threads\n", r.Threads)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, read := range r.Read {
		fmt.Fprintf(table, "read\t%s\t%.1f GB/s\t\n", cli.FormatBytes(read.Bytes), read.PerSecond/1e9)
	}
	for _, p := range r.Peaks {
		fmt.Fprintf(table, "%s\t%s\t%.0f G/s\t\n", p.Name, p.Target, p.PerSecond/1e9)
	}
	return table.Flush()
}
