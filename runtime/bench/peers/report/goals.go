package report

import "llmc/runtime/bench/peers/sample"

// goal is what this project wants to reach in a row of a table. Ratios hold on any machine; what is absolute is meant for two cores of a server.
type goal struct {
	model, format, metric string // no format: in all
	size                  int64
	gain                  float64 // times better than the best peer, 0: none
	value                 float64 // of our own, 0: none
	share                 float64 // of the limit, 0: none
}

const (
	small = "smollm2-135m"
	large = "llama-1b-rand"
)

// goals are how far ahead of the best peer of the day the figures lay that were set out for.
var goals = []goal{
	{small, "int4", "decode", 1, 1.54, 0, 0.90},
	{small, "int4", "decode", 8, 2.21, 0, 0},
	{small, "int4", "decode", 16, 2.94, 0, 0},
	{small, "int4", "decode", 32, 2.52, 0, 0},
	{small, "int4", "prefill", 512, 1.35, 0, 0},
	{small, "int8", "decode", 1, 1.53, 0, 0.90},
	{small, "int8", "decode", 8, 2.08, 0, 0},
	{small, "int8", "decode", 16, 2.11, 0, 0},
	{small, "int8", "decode", 32, 2.39, 0, 0},
	{small, "int8", "prefill", 512, 1.34, 0, 0},
	{small, "bf16", "decode", 1, 1.14, 0, 0.95},
	{small, "bf16", "decode", 8, 1.64, 0, 0},
	{small, "bf16", "decode", 16, 1.62, 0, 0},
	{small, "bf16", "decode", 32, 1.68, 0, 0},
	{small, "bf16", "prefill", 512, 1.11, 0, 0},
	{small, "int4", "stream", 1, 1.51, 0, 0},
	{small, "int4", "stream", 4, 2.27, 0, 0},
	{small, "int4", "stream", 16, 2.83, 0, 0},
	{small, "int4", "stream", 32, 3.01, 0, 0},
	{small, "int4", "first_p50", 32, 2.02, 0, 0},
	{small, "", "start_server", 0, 0, 0.07, 0},
	{small, "", "build", 0, 0, 1, 0},
	{large, "int4", "decode", 1, 1.22, 0, 0.90},
	{large, "int8", "decode", 1, 1.09, 0, 0.90},
	{large, "bf16", "decode", 1, 1, 0, 0.95},
	{large, "int4", "prefill", 512, 2.3, 0, 0},
	{large, "int8", "prefill", 512, 3.8, 0, 0},
}

func findGoal(k sample.Key) (goal, bool) {
	for _, g := range goals {
		if g.model == k.Model && g.metric == k.Metric && g.size == k.Size && (g.format == "" || g.format == k.Format) {
			return g, true
		}
	}
	return goal{}, false
}
