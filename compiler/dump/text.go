package dump

import (
	"fmt"
	"io"
	"text/tabwriter"

	"llmc/internal/cli"
)

// WriteText prints the report for people: the totals, and the launches when kernels is set.
func (r *Plan) WriteText(w io.Writer, kernels bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	m := &r.Model
	fmt.Fprintf(t, "plan\t%s\n", r.Path)
	fmt.Fprintf(t, "digest\t%s\n", r.Digest)
	fmt.Fprintf(t, "size\t%s, format %s\n", cli.FormatBytes(r.Bytes), r.Format)
	fmt.Fprintf(t, "model\t%s (%s), %.1f M parameters, %s, %.2f bits a weight\n", m.Name, m.Family, float64(m.Parameters)/1e6, m.Quant, m.BitsPerW)
	fmt.Fprintf(t, "shape\t%d layers, hidden %d, %d heads, %d KV heads of %d, vocabulary %d, context %d\n", m.Layers, m.Hidden, m.Heads, m.KVHeads, m.HeadDim, m.Vocab, m.MaxContext)
	fmt.Fprintf(t, "built by\tllmc %s\n", r.Provenance.Compiler)
	for _, o := range r.Provenance.Options {
		fmt.Fprintf(t, "option\t%s = %s\n", o.Name, o.Value)
	}
	for _, f := range r.Provenance.Files {
		fmt.Fprintf(t, "from\t%s, %s, sha256 %x\n", f.Name, cli.FormatBytes(f.Bytes), f.SHA256)
	}
	for _, p := range r.Programs {
		fmt.Fprintf(t, "program\t%s for %s: %d launches, %d barriers\n", p.Function, p.Target, len(p.Launches), p.Barriers)
	}
	for _, rule := range r.Rules {
		if rule.Count > 0 {
			fmt.Fprintf(t, "pass\t%s %s: %d\n", rule.Pass, rule.Rule, rule.Count)
		}
	}
	for _, s := range r.Sections {
		fmt.Fprintf(t, "section\t%s %s: %s at %d\n", s.Kind, s.Name, cli.FormatBytes(s.Bytes), s.Offset)
	}
	if err := t.Flush(); err != nil || !kernels {
		return err
	}
	return r.writeLaunches(w)
}

func (r *Plan) writeLaunches(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range r.Programs {
		fmt.Fprintf(t, "\n%s for %s\tkernel\tbarrier\tweights\tflops a token\n", p.Function, p.Target)
		for _, l := range p.Launches {
			barrier := ""
			if l.Sync {
				barrier = "*"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\n", l.Label, l.Kernel, barrier, cli.FormatBytes(l.WeightBytes), l.Flops)
		}
	}
	return t.Flush()
}

// WriteText prints the memory report for people.
func (m *Memory) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "weights\t%s\n", cli.FormatBytes(m.WeightBytes))
	fmt.Fprintf(t, "activations\t%s (%d tokens a step)\n", cli.FormatBytes(m.ActivationBytes), m.StepTokens)
	fmt.Fprintf(t, "KV cache\t%s, %s a token: %d tokens, %d sequences of %d\n", cli.FormatBytes(m.KVBytes), cli.FormatBytes(m.KVTokenBytes), m.Tokens, m.FullSequences, m.MaxContext)
	fmt.Fprintf(t, "together\t%s\n", cli.FormatBytes(m.TotalBytes))
	return t.Flush()
}
