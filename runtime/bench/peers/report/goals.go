package report

import (
	"fmt"
	"strconv"

	"llmc/runtime/bench/peers/sample"
)

// goal is what this project wants to reach in a row of a table. Ratios hold on any machine; what is absolute is meant for two cores of a server.
type goal struct {
	model, format, metric string  // no model: of any; no format: in all
	size                  int64   // 0: those that no other row has
	gain                  float64 // times better than the best peer, 0: none
	value                 float64 // of our own, 0: none
	share                 float64 // of the limit, 0: none
	beyond                float64 // more than what the weights take on disk, 0: none
}

const (
	small = "smollm2-135m"
	large = "llama-1b-rand"
)

// goals has what is about one model before what is about any, and what has a size before what has none: the first that fits counts.
var goals = []goal{
	{model: large, format: "int4", metric: "decode", size: 1, gain: 1.22, share: 0.90},
	{model: large, format: "int8", metric: "decode", size: 1, gain: 1.09, share: 0.90},
	{model: large, format: "bf16", metric: "decode", size: 1, gain: 1, share: 0.95},
	{model: large, format: "int4", metric: "prefill", size: 512, gain: 2.3},
	{model: large, format: "int8", metric: "prefill", size: 512, gain: 3.8},
	{model: small, metric: "start_server", gain: 3, value: 0.07},
	{model: small, metric: "build", gain: 1, value: 1},

	{format: "int4", metric: "decode", size: 1, gain: 1.4, share: 0.90},
	{format: "int8", metric: "decode", size: 1, gain: 1.4, share: 0.90},
	{format: "bf16", metric: "decode", size: 1, gain: 1.08, share: 0.95},
	{format: "int4", metric: "decode", gain: 2},
	{format: "int8", metric: "decode", gain: 2},
	{format: "bf16", metric: "decode", gain: 1.5},
	{format: "int4", metric: "prefill", size: 512, gain: 1.35},
	{format: "int8", metric: "prefill", size: 512, gain: 1.25},
	{format: "bf16", metric: "prefill", size: 512, gain: 1.12},
	{metric: "prefill", size: 4096, gain: 1.5},
	{metric: "context", gain: 1.5},
	{metric: "stream", size: 1, gain: 1.4},
	{metric: "stream", gain: 2},
	{metric: "first_p50", gain: 1},
	{metric: "first_p99", gain: 1},
	{metric: "between_p50", gain: 1},
	{metric: "between_p99", gain: 1},
	{metric: "arrival_times", value: 2},
	{metric: "start_server", gain: 3},
	{metric: "start", gain: 3},
	{metric: "memory", beyond: 40},
	{metric: "memory_server", gain: 1},
	{metric: "build", gain: 1},
	{metric: "ppl", gain: 1},
}

func findGoal(k sample.Key) (goal, bool) {
	for _, g := range goals {
		if g.metric == k.Metric && (g.model == "" || g.model == k.Model) && (g.format == "" || g.format == k.Format) && (g.size == 0 || g.size == k.Size) {
			return g, true
		}
	}
	return goal{}, false
}

func plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// aim is a part of a goal.
type aim struct {
	text    string
	reached bool
}

// parts are the parts of the goal that can be judged. A peer's figure is missing where there is no gain.
func (g goal) parts(m sample.Metric, own sample.Figure, gain, weights float64) []aim {
	var list []aim
	if g.gain > 0 && gain > 0 {
		list = append(list, aim{plain(g.gain) + "x", gain >= g.gain})
	}
	if g.value > 0 {
		list = append(list, aim{"at most " + plain(g.value) + " " + m.Unit, m.Gain(own.Median, g.value) >= 1})
	}
	if g.share > 0 && own.Share > 0 {
		list = append(list, aim{fmt.Sprintf("%.0f %%", 100*g.share), own.Share >= g.share})
	}
	if g.beyond > 0 && weights > 0 {
		list = append(list, aim{"weights + " + plain(g.beyond) + " " + m.Unit, own.Median <= weights+g.beyond})
	}
	return list
}
