package gpubench

import (
	"fmt"
	"math"
)

// Goal is a figure that this project wants to reach on an H200, or an H100, and what a run reached.
type Goal struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit"`
	Want    float64 `json:"want"`
	Reached float64 `json:"reached"`        // 0: not measured
	Most    bool    `json:"most,omitempty"` // less is better
}

// Met tells whether the goal was measured and reached.
func (g *Goal) Met() bool {
	return g.Reached > 0 && (g.Reached >= g.Want) != g.Most
}

// goalRows are the goals with how rows tell of them: best picks the figure of a row that counts, 0 of others, and the best one is taken.
var goalRows = []struct {
	name, unit string
	want       float64
	most       bool
	figure     func(r *Row) float64
}{
	{"8B bf16 batch 1, share of copy bandwidth", "", 0.85, false, share("bf16")},
	{"8B fp8 batch 1, share of copy bandwidth", "", 0.80, false, share("fp8")},
	{"8B int4 batch 1, share of copy bandwidth", "", 0.65, false, share("int4")},
	{"8B bf16 batch 1, 2048 in, 128 out", "tok/s", 244, false, speed("bf16")},
	{"8B fp8 batch 1, 2048 in, 128 out", "tok/s", 424, false, speed("fp8")},
	{"8B int4 batch 1, 2048 in, 128 out", "tok/s", 580, false, speed("int4")},
	{"8B fp8 products, the fastest", "TFLOP/s", 1400, false, func(r *Row) float64 { return product(r, "fp8", r.TFlops) }},
	{"8B bf16 products of 4096 tokens and more, of torch's speed", "", 0.90, false, func(r *Row) float64 {
		if r.Tokens < 4096 {
			return 0
		}
		return product(r, "bf16", r.OfTorch)
	}},
	{"8B prefill attention, the fastest", "TFLOP/s", 0.85 * 740, false, func(r *Row) float64 {
		if r.Kind != "attention" || r.Model != "8b" || r.Sequences == r.Tokens {
			return 0
		}
		return r.TFlops
	}},
	{"8B paged decode attention, share of copy bandwidth", "", 0.85, false, func(r *Row) float64 {
		if r.Kind != "attention" || r.Model != "8b" || r.Sequences != r.Tokens {
			return 0
		}
		return r.OfCopy
	}},
	{"8B decode step, the host's time", "us", 30, true, func(r *Row) float64 {
		if r.Kind != "model" || r.Model != "8b" {
			return 0
		}
		return r.HostMicros
	}},
}

func product(r *Row, format string, figure float64) float64 {
	if r.Kind != "product" || r.Model != "8b" || r.Format != format {
		return 0
	}
	return figure
}

func single(r *Row, format string, figure float64) float64 {
	if r.Kind != "model" || r.Model != "8b" || r.Format != format || r.Sequences != 1 {
		return 0
	}
	return figure
}

func share(format string) func(*Row) float64 {
	return func(r *Row) float64 { return single(r, format, r.OfCopy) }
}

func speed(format string) func(*Row) float64 {
	return func(r *Row) float64 { return single(r, format, r.DecodeTPS) }
}

// goals says what a run reached of the goals.
func goals(r *Result) []Goal {
	var list []Goal
	for _, row := range goalRows {
		g := Goal{Name: row.name, Unit: row.unit, Want: row.want, Most: row.most}
		r.each(func(r *Row) {
			figure := row.figure(r)
			if figure > 0 && (g.Reached == 0 || figure > g.Reached) {
				g.Reached = figure // of what should be little the greatest counts too
			}
		})
		list = append(list, g)
	}
	return append(list, integers(r)...)
}

// integers compares int4 with bf16: whole steps up to batch 64, and products up to 16 tokens, at the worst.
func integers(r *Result) []Goal {
	steps := Goal{Name: "8B int4 steps up to batch 64, of the speed of bf16, the least", Want: 1}
	products := Goal{Name: "8B int4 products up to 16 tokens, of the speed of bf16, the least", Want: 3.5}
	least := func(g *Goal, slow, fast float64) {
		if fast > 0 && slow > 0 && (g.Reached == 0 || slow/fast < g.Reached) {
			g.Reached = slow / fast
		}
	}
	r.each(func(a *Row) {
		if a.Model != "8b" || a.Format != "int4" || a.Micros == 0 {
			return
		}
		r.each(func(b *Row) {
			if b.Model != "8b" || b.Format != "bf16" || b.Kind != a.Kind || b.Sequences != a.Sequences || b.Tokens != a.Tokens || b.N != a.N || b.K != a.K || b.Context != a.Context {
				return
			}
			switch {
			case a.Kind == "model" && a.Sequences <= 64 && b.Prompt == a.Prompt:
				least(&steps, b.Micros, a.Micros)
			case a.Kind == "product" && a.Tokens <= 16 && a.Context == 1024:
				least(&products, b.Micros, a.Micros)
			}
		})
	})
	return []Goal{steps, products}
}

// describe is a goal in a line.
func (g *Goal) describe() string {
	relation, verdict := ">=", "not measured"
	if g.Most {
		relation = "<="
	}
	if g.Reached > 0 {
		verdict = fmt.Sprintf("%s %s", number(g.Reached), map[bool]string{true: "reached", false: "MISSED"}[g.Met()])
	}
	return fmt.Sprintf("%-70s %s %-6s %-8s %s", g.Name, relation, number(g.Want), g.Unit, verdict)
}

// number has three digits; nothing is a dash.
func number(x float64) string {
	if x == 0 {
		return "-"
	}
	digits := max(0, 2-int(math.Floor(math.Log10(max(math.Abs(x), 1e-9)))))
	return fmt.Sprintf("%.*f", digits, x)
}
