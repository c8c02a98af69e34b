package report

import (
	"strconv"
	"strings"

	"llmc/runtime/bench/peers/sample"
)

// comparison is a variant of this project's beside the best peer.
type comparison struct {
	own, best  sample.Figure
	has, peers bool    // whether there is the one and the other
	gain       float64 // times better, 0 where one is missing
	wanted     bool    // there is a goal
	aims       []aim
}

// alike is how many times our bits a model may have to count as one of equal bits: some files hold a tokenizer beside the weights.
const alike = 1.1

// compare compares the figures of a row. Quality is compared at equal bits: a peer with more is no measure.
func (p *page) compare(m sample.Metric, figures []sample.Figure) (c comparison) {
	c.own, c.has = bestOf(m, figures, func(f *sample.Figure) bool { return f.Peer == sample.Own })
	if !m.Plain {
		c.best, c.peers = bestOf(m, figures, func(f *sample.Figure) bool { return f.Peer != sample.Own && (!m.AtBits || p.fewBits(c.own.Key, f.Key)) })
	}
	if c.has && c.peers {
		c.gain = m.Gain(c.own.Median, c.best.Median)
	}
	if g, found := findGoal(figures[0].Key); found && c.has {
		c.wanted, c.aims = true, g.parts(m, c.own, c.gain, p.of(c.own.Key, "file"))
	}
	return c
}

func (p *page) fewBits(own, peer sample.Key) bool {
	bits := p.of(peer, "bits")
	return bits > 0 && bits <= alike*p.of(own, "bits")
}

// of is a figure without size of the same model, peer and variant, 0 where there is none.
func (p *page) of(k sample.Key, metric string) float64 {
	k.Metric, k.Size = metric, 0
	for _, f := range p.figures {
		if f.Key == k {
			return f.Median
		}
	}
	return 0
}

// ratio is the gain, bold where we are behind. Qualities lie close together.
func (c *comparison) ratio(m sample.Metric) string {
	digits := 2
	if m.AtBits {
		digits = 3
	}
	switch text := strconv.FormatFloat(c.gain, 'f', digits, 64); {
	case c.gain == 0:
		return ""
	case c.gain < 1:
		return "**" + text + "**"
	default:
		return text
	}
}

// text says what is wanted, and whether it is reached.
func (c *comparison) text(m sample.Metric) string {
	var parts []string
	for _, a := range c.aims {
		if a.reached {
			a.text += " met"
		}
		parts = append(parts, a.text)
	}
	return strings.Join(parts, ", ")
}

// reached tells whether all of the goal is.
func (c *comparison) reached() bool {
	for _, a := range c.aims {
		if !a.reached {
			return false
		}
	}
	return len(c.aims) > 0
}
