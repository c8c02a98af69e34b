package dump_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/internal/cubin"
)

// TestCards wants predictions of every GPU program on the cards that it is the best for, and on those that are named: sums that are those of their launches,
// bytes of the roofline, and nothing faster than the data sheet.
func TestCards(t *testing.T) {
	t.Setenv(cubin.Variable, "")
	plan := gpuPlan(t, "int4-g32", "x86-64-v3", "sm80", "sm90")
	report, err := dump.NewPlan(plan, 2)
	check(t, err)
	check(t, report.Predict(t.Context(), plan, dump.CardSettings{}))
	var got []string
	for _, p := range report.Programs {
		for _, c := range p.Cards {
			got = append(got, p.Target+":"+c.Card)
			checkCard(t, &p, &c)
		}
	}
	if want := "sm80:a100 sm90:h100 sm90:h200"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	one, err := dump.NewPlan(plan, 2)
	check(t, err)
	check(t, one.Predict(t.Context(), plan, dump.CardSettings{Cards: []string{"l40s"}, Steps: []dump.Step{{Tokens: 3, Sequences: 3, Context: 1 << 30}}}))
	if p := one.Programs[1]; p.Target != "sm80" || len(p.Cards) != 1 || p.Cards[0].Steps[0].Context != 4096 || len(one.Programs[2].Cards) != 0 {
		t.Errorf("an L40S runs the code of sm80: %+v", p.Cards)
	}
	var text, page bytes.Buffer
	check(t, report.WriteText(&text, true))
	check(t, report.WriteHTML(&page, plan, func(*engine.Program) (*dump.Memory, error) { return &dump.Memory{}, nil }))
	for _, want := range []string{"on h200 (H200 SXM, 141 GB)", "batch 256", "prompt of 2048", "~255"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if n := strings.Count(page.String(), "<h3>Predicted on"); n != 3 {
		t.Errorf("the page has %d cards", n)
	}
}

func checkCard(t *testing.T, p *dump.Program, c *dump.CardReport) {
	t.Helper()
	card, err := engine.FindCard(c.Card)
	check(t, err)
	for i, s := range c.Steps {
		seconds, launches := 0.0, 0
		for _, l := range c.Launches {
			cost := &l.Steps[i]
			if cost.Entry == "" {
				continue
			}
			seconds, launches = seconds+float64(l.Count)*cost.Seconds, launches+l.Count
			bound := cost.Bytes / card.ReadBytes
			if cost.Bound < bound || cost.Fraction <= 0 || cost.Fraction >= 1 || cost.PerSM < 1 || cost.CTAs < 1 {
				t.Errorf("%s, %s, %s: %+v", c.Card, s.Name(), l.Label, cost)
			}
		}
		if math.Abs(seconds-s.Seconds) > 1e-9*seconds || launches != s.Launches || s.Fraction() >= 1 || s.Gaps > float64(launches)*card.Assumed.LaunchGap+1e-12 || s.Gaps < float64(launches)*card.Assumed.EarlyGap {
			t.Errorf("%s, %s: %+v, its %d launches take %v", c.Card, s.Name(), s, launches, seconds)
		}
	}
	// A step of one token and context 512 of the plain roofline reads the same weights and less of the cache.
	if ratio := c.Steps[0].Bytes / p.Steps[0].Bytes; ratio < 1 || ratio > 1.2 {
		t.Errorf("%s: a decoding step moves %v times what the roofline says", c.Card, ratio)
	}
}
