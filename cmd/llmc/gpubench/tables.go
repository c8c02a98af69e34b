package gpubench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// layer is the products of one layer in a step, added up.
type layer struct {
	plan                        string
	tokens                      int
	micros, flops, bytes, torch float64
	untold                      bool // of a product torch has no time
	attention, attentionTFlops  float64
	ofCopy, ofTorch             float64 // of attention
}

// layers adds up the products of a layer for each plan and number of tokens, in the order of the rows, with the attention of the same step.
func (r *Result) layers() []layer {
	var list []layer
	r.each(func(row *Row) {
		if row.Kind != "product" && row.Kind != "attention" || row.Micros == 0 || row.Kind == "product" && !strings.Contains(row.Name, "*") {
			return
		}
		plan := row.Model + ":" + row.Format
		at := slices.IndexFunc(list, func(l layer) bool { return l.plan == plan && l.tokens == row.Tokens })
		if at < 0 {
			at = len(list)
			list = append(list, layer{plan: plan, tokens: row.Tokens})
		}
		l := &list[at]
		if row.Kind == "attention" {
			if l.attention == 0 {
				l.attention, l.ofCopy, l.ofTorch, l.attentionTFlops = row.Micros, row.OfCopy, row.OfTorch, row.TFlops
			}
			return
		}
		l.micros += row.Micros
		l.flops += 2 * float64(row.N) * float64(row.K) * float64(row.Tokens)
		l.bytes += row.GBs * row.Micros
		l.torch += row.OfTorch * row.Micros
		l.untold = l.untold || row.OfTorch == 0
	})
	return list
}

// tables prints what models and their layers reach.
func (r *Result) tables(w io.Writer) error {
	copied := 0.0
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "model\tbatch\tin\tout\tprefill tok/s\tdecode tok/s\tof copy\thost us\t")
	r.each(func(row *Row) {
		switch {
		case row.Kind == "copy":
			copied = row.GBs
		case row.Kind == "model" && row.DecodeTPS > 0:
			fmt.Fprintf(t, "%s:%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t\n", row.Model, row.Format, row.Sequences, row.Prompt, row.Gen, number(row.PrefillTPS), number(row.DecodeTPS), number(row.OfCopy), number(row.HostMicros))
		}
	})
	fmt.Fprintf(t, "\t\t\t\t\t\t\t\t\nproducts of a layer\ttokens\tus\tTFLOP/s\tof copy\tx torch\tattention us\tof copy\tTFLOP/s\tx torch\t\n")
	for _, l := range r.layers() {
		if l.micros == 0 {
			continue
		}
		share, torch := 0.0, 0.0
		if copied > 0 {
			share = l.bytes / l.micros / copied
		}
		if !l.untold {
			torch = l.torch / l.micros
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", l.plan, l.tokens, number(l.micros), number(l.flops/l.micros/1e6), number(share), number(torch),
			number(l.attention), number(l.ofCopy), number(l.attentionTFlops), number(l.ofTorch))
	}
	return t.Flush()
}
