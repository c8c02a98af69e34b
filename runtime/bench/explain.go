package bench

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Part is the time that the launches of one kernel took, per step.
type Part struct {
	Phase       string  `json:"phase"` // "prefill" or "decode"
	Kernel      string  `json:"kernel"`
	Launches    int     `json:"launches"`
	Micros      float64 `json:"us"`
	Share       float64 `json:"share"`
	WeightBytes int64   `json:"weight_bytes"`
	GBPerSecond float64 `json:"gb_per_s"` // of weights
	// Traffic is of weights, activations and cache, TFlops of matrix products, both a second; 0 where the device does not say.
	Traffic float64 `json:"traffic_gb_per_s,omitempty"`
	TFlops  float64 `json:"tflop_per_s,omitempty"`
}

// Parts sums up the launches of each phase by kernel, per step, the longest first.
func Parts(phases []Phase) []Part {
	var parts []Part
	for i := range phases {
		parts = append(parts, phases[i].parts()...)
	}
	return parts
}

func (p *Phase) parts() []Part {
	var parts []Part
	steps, total := float64(p.Steps), 1e6*p.Seconds()
	for _, l := range p.Launches {
		if l.Seconds == 0 {
			continue // these steps did not want it
		}
		i := slices.IndexFunc(parts, func(q Part) bool { return q.Kernel == l.Kernel })
		if i < 0 {
			i = len(parts)
			parts = append(parts, Part{Phase: p.Name, Kernel: l.Kernel})
		}
		q := &parts[i]
		q.Launches++
		q.Micros += 1e6 * l.Seconds / steps
		q.WeightBytes += l.WeightBytes + l.StackBytes/int64(p.Steps)
		q.Traffic, q.TFlops = q.Traffic+l.Traffic/steps, q.TFlops+l.Flops/steps
	}
	for i := range parts {
		q := &parts[i]
		q.Share = q.Micros / total
		q.GBPerSecond, q.Traffic, q.TFlops = float64(q.WeightBytes)/q.Micros/1e3, q.Traffic/q.Micros/1e3, q.TFlops/q.Micros/1e6
	}
	slices.SortStableFunc(parts, func(a, b Part) int {
		if a.Micros > b.Micros {
			return -1
		}
		return 1
	})
	return parts
}

// WriteParts prints the parts for people.
func WriteParts(w io.Writer, parts []Part) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	all := slices.ContainsFunc(parts, func(p Part) bool { return p.Traffic > 0 })
	fmt.Fprint(t, "phase\tkernel\tlaunches\tus a step\tshare\tweights GB/s\t")
	if all {
		fmt.Fprint(t, "all GB/s\tTFLOP/s\t")
	}
	fmt.Fprintln(t)
	for _, p := range parts {
		fmt.Fprintf(t, "%s\t%s\t%d\t%.1f\t%.1f %%\t%.1f\t", p.Phase, p.Kernel, p.Launches, p.Micros, 100*p.Share, p.GBPerSecond)
		if all {
			fmt.Fprintf(t, "%.1f\t%.1f\t", p.Traffic, p.TFlops)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
