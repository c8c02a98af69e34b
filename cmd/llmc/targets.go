package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"llmc/engine"
	"llmc/internal/cli"
	"llmc/internal/quant"
)

type targetRow struct {
	Name     string   `json:"name"`
	Device   string   `json:"device"`
	Features []string `json:"features"`
	Doc      string   `json:"doc"`
	Native   bool     `json:"native"`  // what --arch native means on this machine
	Missing  []string `json:"missing"` // features that this machine lacks
	GPU      *gpuRow  `json:"gpu,omitempty"`
}

// gpuRow says what GPUs a target is for, and the figures of the card that predictions are for.
type gpuRow struct {
	Capability      string  `json:"compute_capability"`  // the least that runs it
	ServedBy        string  `json:"served_by,omitempty"` // the target whose code runs there
	Exact           bool    `json:"exact,omitempty"`     // no other capability runs it
	Multiprocessors int     `json:"multiprocessors"`
	ReadBytes       float64 `json:"read_bytes_per_second"`
	BF16            float64 `json:"bf16_ops_per_second"`
}

type formatRow struct {
	Name  string  `json:"name"`
	Alias string  `json:"alias,omitempty"`
	Bits  float64 `json:"bits_per_weight"`
	Doc   string  `json:"doc"`
}

type targetList struct {
	Targets []targetRow `json:"targets"`
	Formats []formatRow `json:"formats"`
}

func targetsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "targets",
		Short:   "List what plans can be built for, and the formats of weights",
		Example: "  llmc targets",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list := listTargets()
			if asJSON {
				return cli.PrintJSON(cmd.OutOrStdout(), list)
			}
			return list.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func listTargets() targetList {
	native, _ := engine.FindTarget("native")
	var list targetList
	for _, t := range engine.Targets {
		missing := t.Missing()
		if missing == nil {
			missing = []string{}
		}
		row := targetRow{Name: t.Name, Device: t.Device, Features: append([]string{}, t.Features...), Doc: t.Doc, Native: t.Name == native.Name, Missing: missing}
		if t.SM != 0 {
			cores := float64(t.Cores)
			row.GPU = &gpuRow{fmt.Sprintf("%d.%d", t.SM/10, t.SM%10), t.ServedBy, t.Exact, t.Cores, cores * t.Nominal.ReadBytes, cores * t.Nominal.BF16}
		}
		list.Targets = append(list.Targets, row)
	}
	const typicalRow = 4096
	for i := range quant.Formats {
		f := &quant.Formats[i]
		row := formatRow{Name: f.Name, Bits: f.BitsPerWeight(typicalRow), Doc: f.Doc}
		for _, a := range quant.Aliases {
			if slices.Contains(a.Formats, f.Name) {
				row.Alias = a.Name
			}
		}
		list.Formats = append(list.Formats, row)
	}
	return list
}

func (r *targetRow) text() string {
	if r.GPU == nil {
		return r.Doc
	}
	return fmt.Sprintf("compute capability %s: %s, of %d multiprocessors, %.4g TB/s, %.4g bf16 Top/s", r.GPU.Capability, r.Doc, r.GPU.Multiprocessors,
		r.GPU.ReadBytes/1e12, r.GPU.BF16/1e12)
}

func (l targetList) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "target\tdevice\there\tfor")
	for _, r := range l.Targets {
		here := "yes"
		if r.GPU != nil && r.GPU.ServedBy != "" {
			here = "as " + r.GPU.ServedBy
		} else if r.Device != "cpu" {
			here = "emulated"
		} else if len(r.Missing) > 0 {
			here = "lacks " + strings.Join(r.Missing, ", ")
		} else if r.Native {
			here = "yes, native"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Name, r.Device, here, r.text())
	}
	fmt.Fprintln(t, "\nformat\tbits a weight\t\t")
	for _, f := range l.Formats {
		name := f.Name
		if f.Alias != "" {
			name += " (" + f.Alias + ")"
		}
		fmt.Fprintf(t, "%s\t%.2f\t\t%s\n", name, f.Bits, f.Doc)
	}
	return t.Flush()
}
