package dump

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
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
	if p := &r.Provenance; p.Model != "" {
		fmt.Fprintf(t, "from\t%s of the Hub, commit %s\n", p.Model, p.Revision)
	}
	for _, o := range r.Provenance.Options {
		fmt.Fprintf(t, "option\t%s = %s\n", o.Name, o.Value)
	}
	for _, f := range r.Provenance.Files {
		fmt.Fprintf(t, "from\t%s, %s, sha256 %x\n", f.Name, cli.FormatBytes(f.Bytes), f.SHA256)
	}
	for _, p := range r.Programs {
		fmt.Fprintf(t, "program\t%s for %s: %d launches, %d barriers\n", p.Function, p.Target, len(p.Launches), p.Barriers)
		if p.PTX != nil {
			fmt.Fprintf(t, "code\t%s: %v\n", p.Target, p.PTX)
			fmt.Fprintf(t, "buckets\t%s: steps of %s tokens\n", p.Target, strings.Trim(fmt.Sprint(p.Buckets), "[]"))
		}
		p.writePersistent(t)
		for _, c := range p.Together {
			fmt.Fprintf(t, "together\t%s: each of %d GPUs has %s of weights and runs %d launches, %d of them exchanges, in which it sends %s for a token to each other\n",
				p.Target, c.Cards, cli.FormatBytes(c.WeightBytes), c.Launches, c.Exchanges, cli.FormatBytes(c.SentBytes))
		}
		if p.Cubin != nil {
			fmt.Fprintf(t, "cubin\t%s: %v, %s\n", p.Target, p.Cubin, cli.FormatBytes(p.Cubin.Bytes))
		}
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

// writeLaunches prints, for each program, the predicted steps and what every launch takes of them.
func (r *Plan) writeLaunches(w io.Writer) error {
	cards := slices.ContainsFunc(r.Programs, func(p Program) bool { return len(p.Cards) > 0 })
	for i := range r.Programs {
		p := &r.Programs[i]
		if cards && len(p.Cards) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s for %s\n", p.Function, p.Target); err != nil {
			return err
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		if n := p.Nominal; n != nil {
			fmt.Fprintf(t, "assumed\t%s: reads %s/s, f32 %s, bf16 %s, int8 %s operations/s\n",
				p.Assumed(), decimal(n.ReadBytes, "B"), decimal(n.F32, ""), decimal(n.BF16, ""), decimal(n.Int8, ""))
		}
		for _, s := range p.Steps {
			fmt.Fprintf(t, "predicted\t%s, context %d: %d launches, %s, %s, at least %s, at most %.1f tokens/s\n",
				tokens(s.Tokens), s.Context, s.Launches, decimal(s.Bytes, "B"), decimal(s.Flops, "flop"), duration(s.Seconds), s.TokensPerSecond)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if len(p.Cards) == 0 {
			if err := p.writeTable(w); err != nil {
				return err
			}
		}
		for i := range p.Cards {
			if err := p.Cards[i].writeText(w); err != nil {
				return err
			}
		}
		if err := p.writeTasks(w); err != nil {
			return err
		}
	}
	return nil
}

// Assumed says what the predicted times are for.
func (p *Program) Assumed() string {
	if p.Card != "" {
		return fmt.Sprintf("%d multiprocessors (%s); the vendor's figures of one, not measured", p.Cores, p.Card)
	}
	return fmt.Sprintf("%d threads; nominal figures of a core, not measured", p.Cores)
}

// hasCode tells whether launches run entries of the plan's code.
func (p *Program) hasCode() bool { return len(p.Launches) > 0 && len(p.Launches[0].Code) > 0 }

func (p *Program) writeTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "launch\tkernel\tbarrier\tweights")
	if p.hasCode() {
		fmt.Fprint(t, "\tentry\tgrid\tthreads\tshared")
	}
	for _, s := range p.Steps {
		fmt.Fprintf(t, "\t%s: moves\tflops\ttime", tokens(s.Tokens))
	}
	fmt.Fprintln(t)
	for _, l := range p.Launches {
		barrier := ""
		if l.Sync {
			barrier = "*"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s", l.Label, l.Kernel, barrier, cli.FormatBytes(l.WeightBytes))
		if len(l.Code) > 0 {
			writeCode(t, &l.Code[0])
		}
		for _, c := range l.Steps {
			fmt.Fprintf(t, "\t%s\t%s\t%s", decimal(c.Bytes, "B"), decimal(c.Flops, ""), duration(c.Seconds))
		}
		fmt.Fprintln(t)
		for i := range l.Code {
			if i > 0 {
				fmt.Fprint(t, "\t\t\t")
				writeCode(t, &l.Code[i])
				fmt.Fprintln(t, strings.Repeat("\t", 3*len(l.Steps)))
			}
		}
	}
	return t.Flush()
}

// writeCode prints the entry for steps up to a limit, and its shape.
func writeCode(w io.Writer, c *Code) {
	fmt.Fprintf(w, "\t%s\t%s\t%d\t%s", c.Entry, strings.Join(c.Grid[:], " x "), c.Threads, cli.FormatBytes(c.Shared+c.StaticShared))
}

// decimal prints x with three digits and a decimal prefix.
func decimal(x float64, unit string) string {
	prefix := ""
	for _, p := range []string{"k", "M", "G", "T", "P"} {
		if x < 1000 {
			break
		}
		x, prefix = x/1000, p
	}
	return strings.TrimSuffix(strconv.FormatFloat(x, 'g', 3, 64)+" "+prefix+unit, " ")
}

// duration prints seconds in a unit that leaves a whole.
func duration(seconds float64) string {
	switch {
	case seconds >= 1:
		return fmt.Sprintf("%.2f s", seconds)
	case seconds >= 1e-3:
		return fmt.Sprintf("%.2f ms", seconds*1e3)
	}
	return fmt.Sprintf("%.2f µs", seconds*1e6)
}

func tokens(n int64) string {
	if n == 1 {
		return "1 token"
	}
	return fmt.Sprintf("%d tokens", n)
}

// WriteText prints the memory report for people.
func (m *Memory) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "weights\t%s\n", cli.FormatBytes(m.WeightBytes))
	fmt.Fprintf(t, "activations\t%s (%d tokens a step)\n", cli.FormatBytes(m.ActivationBytes), m.StepTokens)
	if m.ArrayBytes > 0 {
		fmt.Fprintf(t, "arrays\t%s (what the host tells each step)\n", cli.FormatBytes(m.ArrayBytes))
	}
	if m.AdapterBytes > 0 {
		fmt.Fprintf(t, "adapters\t%s (places, and what steps need beside those)\n", cli.FormatBytes(m.AdapterBytes))
	}
	fmt.Fprintf(t, "KV cache\t%s, %s a token: %d pages, %d tokens, %d sequences of %d\n", cli.FormatBytes(m.KVBytes), cli.FormatBytes(m.KVTokenBytes), m.Pages, m.Tokens, m.FullSequences, m.MaxContext)
	of := ""
	if m.FreeBytes > 0 {
		of = " of a GPU with " + cli.FormatBytes(m.FreeBytes) + " free"
	}
	fmt.Fprintf(t, "together\t%s%s\n", cli.FormatBytes(m.TotalBytes), of)
	return t.Flush()
}
