package dump

import (
	"fmt"
	"io"
	"text/tabwriter"

	"llmc/internal/cli"
)

// writeText prints what a program takes on a card: the steps, then for each step its launches.
func (r *CardReport) writeText(w io.Writer) error {
	registers := "registers by " + r.Registers
	if r.Registers == atMost {
		registers = "registers at most as the text says; a cubin in the plan or --ptxas tells them"
	}
	if _, err := fmt.Fprintf(w, "\non %s (%s): data sheet figures and assumptions, not measured; %s\n", r.Card, r.Doc, registers); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "step\tcontext\tlaunches\tmoves\tflops\ttime\tbound\tof it\tbetween launches\ttokens/s")
	for i := range r.Steps {
		s := &r.Steps[i]
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f\n", s.Name(), s.Context, s.Launches, decimal(s.Bytes, "B"), decimal(s.Flops, ""),
			duration(s.Seconds), duration(s.Bound), share(s.Fraction()), duration(s.Gaps), s.TokensPerSecond)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range r.Steps {
		if err := r.writeStep(w, i); err != nil {
			return err
		}
	}
	return nil
}

// Name is what a step is called.
func (s Step) Name() string {
	if s.sequences() == 1 && s.Tokens > 1 {
		return fmt.Sprintf("prompt of %d", s.Tokens)
	}
	if s.each() == 1 {
		return fmt.Sprintf("batch %d", s.sequences())
	}
	return fmt.Sprintf("%d prompts of %d", s.sequences(), s.each())
}

func share(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }

func (r *CardReport) writeStep(w io.Writer, step int) error {
	if _, err := fmt.Fprintf(w, "\n%s, context %d\n", r.Steps[step].Name(), r.Steps[step].Context); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "launch\tkernel\ttimes\tentry\tregisters\tshared\tCTAs/SM by\tCTAs\twaves\tmoves\tflops\ttime\tof bound\tlimit")
	for _, l := range r.Launches {
		c := &l.Steps[step]
		if c.Entry == "" {
			continue
		}
		estimate := ""
		if r.Registers == atMost {
			estimate = "~"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s%d\t%s\t%d %s\t%d\t%.2f\t%s\t%s\t%s\t%s\t%s\n", l.Label, l.Kernel, l.Count, c.Entry, estimate, c.Registers,
			cli.FormatBytes(c.Shared), c.PerSM, c.LimitedBy, c.CTAs, c.Waves, decimal(c.Bytes, "B"), decimal(c.Flops, ""), duration(c.Seconds), share(c.Fraction), c.Limit)
	}
	return t.Flush()
}
