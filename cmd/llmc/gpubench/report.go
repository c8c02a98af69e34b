package gpubench

import (
	"fmt"
	"io"
	"strings"
)

// describe is a row in a line.
func (r *Row) describe() string {
	var s strings.Builder
	add := func(show bool, format string, args ...any) {
		if show {
			fmt.Fprintf(&s, " "+format, args...)
		}
	}
	s.WriteString(r.Kind)
	add(r.Name != "", "%s", r.Name)
	add(r.Kernel != "" && r.Kernel != r.Kind, "(%s)", r.Kernel)
	add(r.Format != "" && strings.HasPrefix(r.Kind, "torch"), "%s", r.Format)
	add(r.N > 0 && r.K > 0, "%dx%d", r.N, r.K)
	add(r.Tokens > 0, "T=%d", r.Tokens)
	add(r.Sequences > 0, "B=%d", r.Sequences)
	add(r.Context > 0, "context %d", r.Context)
	add(r.Gen > 0, "%d in, %d out", r.Prompt, r.Gen)
	s.WriteString(":")
	add(r.PrefillTPS > 0, "prefill %s tok/s,", number(r.PrefillTPS))
	add(r.DecodeTPS > 0, "decode %s tok/s,", number(r.DecodeTPS))
	add(r.Micros > 0, "%s us", number(r.Micros))
	add(r.GBs > 0, "%s GB/s", number(r.GBs))
	add(r.OfCopy > 0, "(%s of copy)", number(r.OfCopy))
	add(r.TFlops > 0, "%s TFLOP/s", number(r.TFlops))
	add(r.OfTorch > 0, "%sx torch", number(r.OfTorch))
	add(r.HostMicros > 0, "host %s us", number(r.HostMicros))
	add(r.IdleMicros > 0, "idle %s us", number(r.IdleMicros))
	add(r.Seconds > 0, "%s s", number(r.Seconds))
	add(r.Note != "", "%s", r.Note)
	return s.String()
}

// Report prints a run for people: what it ran on, what failed, what models and their layers reach, and the goals.
func (r *Result) Report(w io.Writer) error {
	fmt.Fprintf(w, "%s, capability %d.%d, CUDA %s, driver %s, %d processors, llmc %s, %s\n", r.Device, r.Capability/10, r.Capability%10, r.CUDA, r.Driver, r.CPUs, r.Version, r.Date)
	if r.Torch != nil {
		fmt.Fprintf(w, "beside torch %s with CUDA %s\n", r.Torch.Version, r.Torch.CUDA)
	}
	for _, s := range r.Sections {
		fmt.Fprintf(w, "%-10s %4d rows in %.0f s", s.Name, len(s.Rows), s.Seconds)
		if s.Error != "" {
			fmt.Fprintf(w, ": %s", s.Error)
		}
		fmt.Fprintln(w)
	}
	if err := r.tables(w); err != nil {
		return err
	}
	for i := range r.Goals {
		fmt.Fprintln(w, r.Goals[i].describe())
	}
	return nil
}
